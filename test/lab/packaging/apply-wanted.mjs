// Run as an unprivileged user: applies the wanted state from stdin twice with the installed agent's own data path, switches
// a lane, and takes everything away again. Prints what it said.
import { readFileSync } from 'node:fs';

const { createDataplanePort, createLaneWriter, localMachine } = await import(`${process.argv[2]}/dist/agent/dataplane/index.js`);
const { createLog, systemClock } = await import(`${process.argv[2]}/dist/src/base/index.js`);
const wanted = JSON.parse(readFileSync(0, 'utf8'));
const log = createLog('unprivileged', 'silent');
const dataplane = createDataplanePort({ driver: 'libipsec', log });
const first = await dataplane.apply(wanted);
const second = await dataplane.apply(wanted);
const [lane] = wanted.lanes;
const lanes = createLaneWriter({ driver: 'libipsec', machine: localMachine, clock: systemClock, log });
lanes.switchLanes([{ ...lane, active: null }], new Map());
await new Promise((resolve) => setTimeout(resolve, 300));
const third = await dataplane.apply(wanted);
const counters = await dataplane.counters();
lanes.close();
await dataplane.clear();
process.stdout.write(JSON.stringify({ uid: process.getuid(), first, second, third, leakPackets: counters.leakPackets, tunnels: counters.tunnels.length }));
process.exit(0);
