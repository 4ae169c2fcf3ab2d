// The npm packages that some compiled files import, with all that these depend on: for things that carry their own.
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join } from 'node:path';
import { BootstrapError, ROOT } from './bootstrap.mjs';

const IMPORT = /(?:from|import|requireCommonJs)\s*\(?['"]((?:@[\w.-]+\/)?[a-z][\w.-]*)(?:\/[^'"]*)?['"]/g;

/** Names that the .js files below a folder import; `node:` and Node's own left out. */
export function importedPackages(folder) {
  const names = new Set();
  for (const file of filesIn(folder).filter((one) => /\.m?js$/.test(one) && !one.includes('/node_modules/'))) {
    for (const [, name] of readFileSync(file, 'utf8').matchAll(IMPORT)) names.add(name);
  }
  return [...names].filter((name) => !builtinModules.includes(name));
}

/** These packages and what they depend on, each with its folder in our node_modules. A nested copy travels with its parent. */
export function packageClosure(names) {
  const found = new Map();
  const visit = (name, isOptional) => {
    if (found.has(name)) return;
    const folder = join(ROOT, 'node_modules', name);
    if (!existsSync(join(folder, 'package.json'))) {
      if (isOptional) return;
      throw new BootstrapError(`${name} is not in node_modules`);
    }
    found.set(name, folder);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    for (const next of Object.keys(dependencies)) visit(next, existsSync(join(folder, 'node_modules', next)));
    for (const next of Object.keys(optionalDependencies)) visit(next, true);
  };
  for (const name of names) visit(name, false);
  return [...found].map(([name, folder]) => ({ name, folder })).sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** Makes the folder that a package goes to, below another node_modules. */
export function targetOf(name, nodeModules) {
  const target = join(nodeModules, name);
  mkdirSync(dirname(target), { recursive: true });
  return target;
}

export function filesIn(path) {
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? filesIn(join(path, entry.name)) : [join(path, entry.name)]));
}
