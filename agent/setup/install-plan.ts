import { isName } from '../../src/model/index.ts';
import { ForemeshError } from '../../src/base/index.ts';
import type { DriverName } from '../driver.ts';

/** What an operator chooses. */
export interface InstallOptions {
  node: string;
  /** `host:port` or a URL, as in the settings. */
  engine: string;
  driver: DriverName | 'auto';
  /** Text of the join token; null when the node has joined before. */
  joinToken: string | null;
  stateDir: string;
  /** Replaces a settings file that is there and differs. */
  force: boolean;
}

/** Texts of the packaging folder. */
export interface PackagingFiles {
  agentUnit: string;
  strongswanConf: string;
  sysusersConf: string;
}

/** One thing to have on disk. Owner `foremesh` is the agent's own user. */
export type InstallStep =
  | { kind: 'folder'; path: string; mode: number; owner: 'root' | 'foremesh'; why: string }
  /** `keep`: one that is there stays as it is, whatever is in it. `refuse`: one that differs stops the installation. */
  | { kind: 'file'; path: string; mode: number; owner: 'root' | 'foremesh'; text: string; isSecret: boolean; existing: 'replace' | 'keep' | 'refuse'; why: string };

export const SETTINGS_FILE = '/etc/foremesh/agent.yaml';
const TOKEN_FILE = '/etc/foremesh/join-token';
/** The program that the unit starts, as a package installs it. */
const PACKAGED_PROGRAM = '/usr/bin/foremesh-agent';

/**
 * All that a gateway needs on disk, in order: what a later step relies on comes first, and the settings, which the unit
 * waits for, come last.
 * @param program  what starts the agent here: the packaged program, or `node …/agent/main.js` from a clone
 * @throws ForemeshError AGENT_CONFIG_INVALID for a name that is no node's, or a token of another node
 */
export function installSteps(options: InstallOptions, packaging: PackagingFiles, program: string): InstallStep[] {
  const { node, engine, driver, joinToken, stateDir, force } = options;
  const fault = faultOf(options);
  if (fault !== null) throw new ForemeshError('AGENT_CONFIG_INVALID', { what: fault, fix: 'see foremesh-agent install --help' });
  const file = (path: string, text: string, why: string): InstallStep => ({ kind: 'file', path, mode: 0o644, owner: 'root', text, isSecret: false, existing: 'replace', why });
  const settings = [`node: ${node}`, `engine: ${JSON.stringify(engine)}`, `stateDir: ${stateDir}`, `driver: ${driver}`, `joinTokenFile: ${TOKEN_FILE}`, ''].join('\n');
  return [
    file('/usr/lib/sysusers.d/foremesh.conf', packaging.sysusersConf, 'the user that the agent runs as'),
    { kind: 'folder', path: '/etc/foremesh', mode: 0o755, owner: 'root', why: 'settings' },
    { kind: 'folder', path: stateDir, mode: 0o700, owner: 'foremesh', why: 'key, certificate and the last config' },
    file('/etc/strongswan.d/foremesh.conf', strongswanFor(packaging.strongswanConf, driver), 'what the IKE daemon needs; restart it once'),
    ...(program === PACKAGED_PROGRAM ? [] : [file('/etc/systemd/system/foremesh-agent.service', unitFor(packaging.agentUnit, program), 'the unit')]),
    ...(joinToken === null ? [] : [{ kind: 'file', path: TOKEN_FILE, mode: 0o400, owner: 'foremesh', text: `${joinToken.trim()}\n`, isSecret: true, existing: 'replace', why: 'the join token, good once' } as const]),
    { kind: 'file', path: SETTINGS_FILE, mode: 0o644, owner: 'root', text: settings, isSecret: false, existing: force ? 'replace' : 'refuse', why: 'the agent’s settings' },
  ];
}

function faultOf({ node, engine, joinToken, stateDir }: InstallOptions): string | null {
  if (!isName(node)) return `${JSON.stringify(node)} is not the name of a node`;
  if (!/^[A-Za-z0-9.:/[\]-]+$/.test(engine)) return `${JSON.stringify(engine)} is not an address of the engine`;
  if (!/^\/[A-Za-z0-9._/-]+$/.test(stateDir) || stateDir.includes('..')) return `${JSON.stringify(stateDir)} is not an absolute path`;
  if (joinToken !== null && !joinToken.trim().startsWith(`${node}.`)) return `the join token is not for ${node}`;
  return null;
}

/** With ESP in userspace the daemon's own routes lead into its device. */
function strongswanFor(conf: string, driver: InstallOptions['driver']): string {
  if (driver !== 'libipsec') return conf;
  const userspace = '  plugins {\n    kernel-libipsec {\n      load = yes\n    }\n  }\n}\n';
  return conf.replace(/^ *# routes into tunnels are the agent's\n *install_routes = no\n/m, '  # ESP in userspace: the daemon routes overlay addresses into its device\n  install_routes = yes\n').replace(/\}\n$/, userspace);
}

function unitFor(unit: string, program: string): string {
  // below /home a clone would be out of the unit's sight
  const isAtHome = /(?:^| )\/(?:home|root)\//.test(program);
  const own = unit.replace(`ExecStart=${PACKAGED_PROGRAM}`, `ExecStart=${program}`);
  return isAtHome ? own.replace('ProtectHome=yes', 'ProtectHome=read-only') : own;
}
