import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const stages = ['intent', 'telemetry', 'forecast', 'planner', 'policy', 'render', 'git', 'forge', 'ca', 'channel'];

/** Who may import whom (docs/architecture.md); a folder may always import itself. */
const allowed: Record<string, { may: string[]; because: string }> = {
  'src/base': { may: [], because: 'base knows nothing about meshes' },
  'src/model': { may: ['src/base'], because: 'nouns depend on nothing but base' },
  ...Object.fromEntries(stages.map((stage) => [`src/${stage}`, { may: ['src/base', 'src/model'], because: 'stages meet in model, never in each other' }])),
  'src/reconcile': { may: ['src/base', 'src/model', ...stages.map((stage) => `src/${stage}`)], because: 'reconcile joins stages and orders effects; it knows no server, no lab and no agent' },
  'src/api': { may: ['src/base', 'src/model', 'src/reconcile', ...stages.map((stage) => `src/${stage}`)], because: 'the API shows the engine; it knows no command line and no agent' },
  'src/lab': { may: ['src/base', 'src/model', 'src/reconcile', 'src/api', 'agent', ...stages.map((stage) => `src/${stage}`)], because: 'the lab is the one place where engine and agent meet' },
  'src/cli': { may: ['src/base', 'src/model', 'src/reconcile', 'src/api', 'src/lab', ...stages.map((stage) => `src/${stage}`)], because: 'a command calls what it needs, but not the agent: that is a process of its own' },
  agent: { may: ['src/base', 'src/model'], because: 'the agent runs without the engine and must not drag it onto a gateway' },
};

interface Arrow {
  file: string;
  target: string;
  from: string;
  to: string;
}

describe('the import graph', () => {
  const arrows = [...sourceFiles(join(root, 'src')), ...sourceFiles(join(root, 'agent'))].flatMap(arrowsOf);

  it('has only arrows that docs/architecture.md allows', () => {
    const forbidden = arrows
      .filter(({ from, to }) => from !== to && !allowed[from]?.may.includes(to))
      .map(({ file, to, from }) => `${file} imports ${to}: ${allowed[from]?.because ?? `folder ${from} is not in the table of this test`}`);
    expect(forbidden).toEqual([]);
  });

  it('enters every folder through its index.ts', () => {
    const sideDoors = arrows
      .filter(({ from, to, target }) => from !== to && target !== `${to}/index.ts` && !(to === 'agent' && /^agent\/(\w+\/index|ports)\.ts$/.test(target)))
      .map(({ file, target }) => `${file} imports ${target}`);
    expect(sideDoors).toEqual([]);
  });

  it('keeps the plan checker apart from the planner that it judges', () => {
    const shared = sourceFiles(join(root, 'src/planner/check')).flatMap(arrowsOf).filter(({ target }) => target.startsWith('src/planner/') && !target.startsWith('src/planner/check/'));
    expect(shared.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });

  it('keeps what an agent loads small: few packages, and CommonJS ones by requireCommonJs, without WebAssembly', () => {
    const files = [...sourceFiles(join(root, 'agent')), ...sourceFiles(join(root, 'src/base')), ...sourceFiles(join(root, 'src/model'))];
    const found = files.flatMap((file) => {
      const text = withoutComments(readFileSync(file, 'utf8'));
      const imported = [...text.matchAll(/^import (?!type )[^'\n]*'((?!node:)[^.'][^']*)'/gm)].map(([, name]) => `import ${name}`);
      return [...imported, ...[...text.matchAll(/requireCommonJs<[^>]*>\('([^']+)'\)/g)].map(([, name]) => `require ${name}`)];
    });
    expect([...new Set(found)].sort()).toEqual(['import cidr-tools', 'require ipaddr.js', 'require pino', 'require ws', 'require yaml']);
  });

  it('keeps time and chance out of everything but adapters', () => {
    const impure = [...sourceFiles(join(root, 'src')), ...sourceFiles(join(root, 'agent'))]
      .filter((file) => /src\/(intent|planner|render|policy|model|forecast)\/|agent\/(reconcile|probe)\//.test(file))
      .filter((file) => /\bDate\.now\(|\bMath\.random\(|\bnew Date\(\)/.test(withoutComments(readFileSync(file, 'utf8'))))
      .map((file) => relative(root, file));
    expect(impure).toEqual([]);
  });

  it('begins every index.ts with five lines that say what comes in, what goes out and where to start', () => {
    const silent = [...sourceFiles(join(root, 'src')), ...sourceFiles(join(root, 'agent'))]
      .filter((file) => file.endsWith('/index.ts'))
      .filter((file) => !readFileSync(file, 'utf8').split('\n').slice(0, 5).every((line) => line.startsWith('//')))
      .map((file) => relative(root, file));
    expect(silent).toEqual([]);
  });
});

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sourceFiles(path);
    return entry.name.endsWith('.ts') ? [path] : [];
  });
}

function arrowsOf(file: string): Arrow[] {
  const text = withoutComments(readFileSync(file, 'utf8'));
  const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/g)].map((match) => match[1]!);
  return imports.map((specifier) => {
    const target = relative(root, resolve(dirname(file), specifier));
    return { file: relative(root, file), target, from: folderOf(relative(root, file)), to: folderOf(target) };
  });
}

function folderOf(path: string): string {
  const [top, second] = path.split('/');
  return top === 'agent' ? 'agent' : `${top}/${second}`;
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, '');
}
