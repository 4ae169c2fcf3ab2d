// Bootstraps for CI: everything the gate and the lab need. With --print-opa it prints the path of opa and does nothing else new.
import { ensureBaseProgrammes, ensureBuild, ensureDependencies, ensureNode, ensureOpa, ensureSystemPackages, GUEST_PROGRAMS, PACKAGING_PROGRAMS } from '../tools/bootstrap.mjs';

ensureNode();
if (process.platform === 'linux') ensureSystemPackages();
if (process.platform === 'linux') ensureSystemPackages(PACKAGING_PROGRAMS);
if (process.platform === 'linux' && process.arch === 'x64') ensureSystemPackages(GUEST_PROGRAMS);
ensureBaseProgrammes();
ensureDependencies();
ensureBuild();
const opa = await ensureOpa();
if (process.argv.includes('--print-opa')) process.stdout.write(`${opa}\n`);
