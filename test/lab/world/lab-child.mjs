// A process that brings up a lab from the compiled programs and then waits to be killed: `node lab-child.mjs ID INTENT.json`.
import { readFileSync } from 'node:fs';
import { startNetwork } from '../../../dist/src/lab/network.js';

const [id, intentFile] = process.argv.slice(2);
const intent = JSON.parse(readFileSync(intentFile, 'utf8'));
const network = await startNetwork({ id, intent });
await network.startSender({ name: 'any', from: 'berlin', to: 'paris', classId: 'default', port: 7000, flows: 1, packetBytes: 200, rate: { kind: 'constant', mbps: 0.1 } });
process.stdout.write('up\n');
setInterval(() => undefined, 1000);
