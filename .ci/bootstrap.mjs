// Bootstraps for CI: everything the gate and the lab need. With --print-opa it prints the path of opa and does nothing else new.
import { ensureBaseProgrammes, ensureBuild, ensureDependencies, ensureNode, ensureOpa, ensureSystemPackages } from '../tools/bootstrap.mjs';

ensureNode();
if (process.platform === 'linux') ensureSystemPackages();
ensureBaseProgrammes();
ensureDependencies();
ensureBuild();
const opa = await ensureOpa();
if (process.argv.includes('--print-opa')) process.stdout.write(`${opa}\n`);
