import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createLog, ForemeshError, messageOf, runCommand, systemClock } from '../../src/base/index.ts';
import { localMachine } from '../dataplane/index.ts';
import { AGENT_NODE_FLAGS } from '../ports.ts';
import { diagnose, type DoctorFinding } from './diagnose.ts';
import { gatherFacts } from './facts.ts';
import { install, type StepResult } from './install.ts';
import { type InstallOptions, installSteps, type InstallStep, SETTINGS_FILE } from './install-plan.ts';

export const SETUP_COMMANDS = ['install', 'doctor'] as const;

const INSTALL_USAGE = `usage: foremesh agent install --node NODE --engine HOST[:PORT] [options]

Puts on this gateway what the agent needs: its user, settings, state folder, unit, and what the IKE daemon has to know.
Repeating it changes nothing. Forwarding is not touched before the agent starts.
  --node NODE          name of this node, as in the mesh's YAML
  --engine HOST:PORT   where the engine listens for agents
  --token-file FILE    join token (foremesh join-token NODE); - reads it from stdin
  --driver DRIVER      auto (default), xfrm or libipsec: docs/data-path.md
  --state-dir DIR      default /var/lib/foremesh
  --root DIR           below this folder instead of /, for images; owners are left alone
  --force              replace settings that are there
  --no-start           do not enable and start the unit
  --dry-run            print what would be done, and do nothing
  -o, --output FORMAT  text or json
`;
const DOCTOR_USAGE = `usage: foremesh agent doctor [--config FILE] [-o text|json]

Looks at all that the agent needs and says how to mend what is wrong. Exit code 0 when nothing is an error. As root it
tries the kernel by making interfaces and removing them.
  --config FILE        settings of the agent, default ${SETTINGS_FILE}
`;

/** Runs `install` or `doctor`; resolves with the exit code. */
export async function runSetup(command: (typeof SETUP_COMMANDS)[number], args: string[]): Promise<number> {
  try {
    return await (command === 'install' ? runInstall(args) : runDoctor(args));
  } catch (cause) {
    if (cause instanceof ForemeshError) throw cause;
    process.stderr.write(`${messageOf(cause)}\n\n${command === 'install' ? INSTALL_USAGE : DOCTOR_USAGE}`);
    return 2;
  }
}

async function runInstall(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      node: { type: 'string' },
      engine: { type: 'string' },
      'token-file': { type: 'string' },
      driver: { type: 'string', default: 'auto' },
      'state-dir': { type: 'string', default: '/var/lib/foremesh' },
      root: { type: 'string', default: '/' },
      force: { type: 'boolean', default: false },
      'no-start': { type: 'boolean', default: false },
      'dry-run': { type: 'boolean', default: false },
      output: { type: 'string', short: 'o', default: 'text' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return printed(INSTALL_USAGE);
  const { node, engine, driver, root } = values;
  if (node === undefined || engine === undefined) throw new Error('--node and --engine are needed');
  if (driver !== 'auto' && driver !== 'xfrm' && driver !== 'libipsec') throw new Error('--driver is auto, xfrm or libipsec');
  const options: InstallOptions = { node, engine, driver, joinToken: await readToken(values['token-file']), stateDir: values['state-dir'], force: values.force };
  const steps = installSteps(options, await readPackaging(), thisProgram());
  if (values['dry-run']) return printed(values.output === 'json' ? `${JSON.stringify({ schema: 'foremesh/agent-install/v1', dryRun: true, steps: steps.map(withoutSecret) })}\n` : steps.map(describeStep).join('\n'));
  const results = await install(steps, resolve(root));
  const started = root === '/' && !values['no-start'] ? await startUnit(results) : null;
  return printed(values.output === 'json' ? `${JSON.stringify({ schema: 'foremesh/agent-install/v1', dryRun: false, steps: results, started })}\n` : `${results.map(({ did, path, why }) => `${did.padEnd(8)}${path}  (${why})`).join('\n')}\n${adviceAfter(started)}`);
}

async function runDoctor(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { config: { type: 'string', default: SETTINGS_FILE }, output: { type: 'string', short: 'o', default: 'text' }, help: { type: 'boolean', default: false } } });
  if (values.help) return printed(DOCTOR_USAGE);
  const findings = diagnose(await gatherFacts({ settingsFile: values.config, machine: localMachine, clock: systemClock, log: createLog('doctor', 'silent') }));
  const isWell = !findings.some(({ level }) => level === 'error');
  printed(values.output === 'json' ? `${JSON.stringify({ schema: 'foremesh/agent-doctor/v1', ok: isWell, findings })}\n` : findings.map(describeFinding).join(''));
  return isWell ? 0 : 1;
}

function describeFinding({ code, level, what, fix }: DoctorFinding): string {
  return `${level.padEnd(8)}${code.padEnd(16)}${what}\n${level === 'ok' || fix === '' ? '' : `${' '.repeat(24)}fix: ${fix}\n`}`;
}

/** What would be written, whole; a token is not shown. */
function describeStep(step: InstallStep): string {
  const head = `${step.kind.padEnd(8)}${step.path}  ${step.mode.toString(8)} ${step.owner}  (${step.why})\n`;
  if (step.kind === 'folder') return head;
  return `${head}${(step.isSecret ? '(not shown)\n' : step.text).replaceAll(/^(?=.)/gm, '  | ')}`;
}

function withoutSecret(step: InstallStep): InstallStep {
  return step.kind === 'file' && step.isSecret ? { ...step, text: '' } : step;
}

/** Where systemd runs the machine; elsewhere the unit is for whoever does. */
async function startUnit(results: readonly StepResult[]): Promise<string | null> {
  if (!existsSync('/run/systemd/system')) return null;
  const daemonChanged = results.some(({ path, did }) => path.startsWith('/etc/strongswan.d/') && did !== 'kept');
  for (const args of [['daemon-reload'], ['enable', '--now', 'foremesh-agent.service']]) {
    const { exitCode, stderr } = await runCommand('systemctl', args);
    if (exitCode !== 0) throw new ForemeshError('COMMAND_FAILED', { what: `systemctl ${args.join(' ')}: ${stderr.trim()}`, fix: 'see journalctl -u foremesh-agent' });
  }
  return daemonChanged ? 'restart the IKE daemon once (systemctl restart strongswan), so that it takes up /etc/strongswan.d/foremesh.conf' : 'the agent runs';
}

function adviceAfter(started: string | null): string {
  return `${started ?? 'start the IKE daemon anew, then foremesh-agent.service'}; foremesh agent doctor says what is missing\n`;
}

async function readToken(file: string | undefined): Promise<string | null> {
  if (file === undefined) return null;
  try {
    return (await readFile(file === '-' ? '/dev/stdin' : file, 'utf8')).trim();
  } catch (cause) {
    throw new ForemeshError('AGENT_CONFIG_INVALID', { what: `the join token cannot be read: ${messageOf(cause)}`, fix: 'name its file with --token-file', cause });
  }
}

async function readPackaging(): Promise<Parameters<typeof installSteps>[1]> {
  const folder = join(rootFolder(), 'packaging');
  const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8');
  return { agentUnit: await read('foremesh-agent.service'), strongswanConf: await read('strongswan.d/foremesh.conf'), sysusersConf: await read('sysusers.d/foremesh.conf') };
}

/** The folder with `packaging/`: of a clone, or of the installed package. */
function rootFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'packaging'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new ForemeshError('INTERNAL', { what: 'the folder packaging/ is missing', fix: 'install Foremesh again' });
    folder = parent;
  }
  return folder;
}

/** How this very program is started again: a package has it in /usr/bin. */
function thisProgram(): string {
  const root = rootFolder();
  return root.startsWith('/usr/lib/') ? '/usr/bin/foremesh-agent' : [process.execPath, ...AGENT_NODE_FLAGS, join(root, 'dist', 'agent', 'main.js')].join(' ');
}

function printed(text: string): number {
  process.stdout.write(text);
  return 0;
}
