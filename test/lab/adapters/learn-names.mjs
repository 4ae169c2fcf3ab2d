// Runs in a gateway's namespace: the agent's own learner of names with the config from stdin, until it is killed.
import { readFileSync } from 'node:fs';

const { createNamePort, localMachine } = await import(`${process.argv[2]}/dist/agent/dataplane/index.js`);
const { createNameLearner } = await import(`${process.argv[2]}/dist/agent/names/index.js`);
const { createLog, systemClock } = await import(`${process.argv[2]}/dist/src/base/index.js`);
createNameLearner({ port: createNamePort(localMachine), clock: systemClock, log: createLog('names', process.env.FOREMESH_LOG ?? 'silent') }).setConfig(JSON.parse(readFileSync(0, 'utf8')));
