import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type * as Yaml from 'yaml';
import { ForemeshError, messageOf, requireCommonJs } from '../src/base/index.ts';
import { isName, nodeId, type NodeId } from '../src/model/index.ts';
import type { DriverName } from './driver.ts';

const { parseDocument } = requireCommonJs<typeof Yaml>('yaml');

/** What the agent's process is told at its start; everything about the mesh comes from the engine, signed. */
export interface AgentSettings {
  node: NodeId;
  /** Key, certificate, last config, outbox, status socket; 0700. */
  stateDir: string;
  engine: { host: string; port: number };
  /** Principal of the engine's commits in the signers file. */
  engineIdentity: string;
  /** strongSwan's VICI socket. */
  viciSocket: string;
  /** UDP port of probes, inside tunnels; the same on every node. */
  probePort: number;
  /** UDP port of heartbeats between gateways of one site, on their LAN; the same on every node. */
  heartbeatPort: number;
  /** `auto`: XFRM when daemon and kernel do it, else libipsec. */
  driver: DriverName | 'auto';
  /** What the gateway itself may send through its uplinks besides IKE, ESP, pings and the channel to the engine. */
  management: { protocol: 'tcp' | 'udp'; port: number }[];
  /** Needed once, to join. Not logged. */
  joinToken: string | null;
  logLevel: string;
}

const DEFAULT_PROBE_PORT = 8622;
const DEFAULT_HEARTBEAT_PORT = 8623;
const DEFAULT_ENGINE_PORT = 8443;
/** ssh, DNS and time: a gateway that loses these cannot be mended from afar. */
const DEFAULT_MANAGEMENT = ['tcp/22', 'udp/53', 'tcp/53', 'udp/123'];
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];
const KEYS = ['node', 'stateDir', 'engine', 'engineIdentity', 'viciSocket', 'probePort', 'heartbeatPort', 'driver', 'management', 'joinToken', 'joinTokenFile', 'logLevel'];

/**
 * Reads a YAML or JSON file; paths in it are relative to it.
 * @throws ForemeshError AGENT_CONFIG_INVALID with everything that is wrong at once
 */
export async function readSettings(file: string): Promise<AgentSettings> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new ForemeshError('AGENT_CONFIG_INVALID', { what: `${file} cannot be read: ${messageOf(cause)}`, fix: 'name the file with --config', cause });
  }
  return parseSettings(text, file);
}

export async function parseSettings(text: string, file: string): Promise<AgentSettings> {
  const document = parseDocument(text, { schema: 'core' });
  const value: unknown = document.errors.length === 0 ? document.toJS({ maxAliasCount: 0 }) : null;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(file, [document.errors[0]?.message ?? 'it is not a list of settings']);
  const raw = value as Record<string, unknown>;
  const wrong = Object.keys(raw)
    .filter((key) => !KEYS.includes(key))
    .map((key) => `unknown key "${key}" (known: ${KEYS.join(', ')})`);
  const folder = dirname(resolve(file));
  const need = <T>(found: T | null, what: string): T => {
    if (found === null) wrong.push(what);
    return found as T;
  };
  const pathOf = (path: string | null): string => resolve(folder, path ?? '');
  const textOf = (key: string): string | null => (typeof raw[key] === 'string' && raw[key] !== '' ? raw[key] : null);
  const node = textOf('node');
  const level = raw['logLevel'] === undefined ? 'info' : textOf('logLevel');
  const token = await readToken(textOf('joinToken'), textOf('joinTokenFile'), folder, wrong);
  const settings: AgentSettings = {
    node: need(node !== null && isName(node) ? nodeId(node) : null, 'node: the name of this node, as in its join token'),
    stateDir: pathOf(need(textOf('stateDir'), 'stateDir: a folder for key, certificate and last config')),
    engine: need(readEngine(raw['engine']), 'engine: https://host:port, host:port or { host, port }'),
    engineIdentity: raw['engineIdentity'] === undefined ? 'engine@foremesh' : need(textOf('engineIdentity'), 'engineIdentity: a text'),
    viciSocket: pathOf(raw['viciSocket'] === undefined ? '/var/run/charon.vici' : need(textOf('viciSocket'), 'viciSocket: a path')),
    probePort: need(readPort(raw['probePort'] ?? DEFAULT_PROBE_PORT), 'probePort: 1 to 65535'),
    heartbeatPort: need(readPort(raw['heartbeatPort'] ?? DEFAULT_HEARTBEAT_PORT), 'heartbeatPort: 1 to 65535'),
    driver: need(readDriver(raw['driver'] ?? 'libipsec'), 'driver: libipsec, xfrm or auto'),
    management: need(readManagement(raw['management'] ?? DEFAULT_MANAGEMENT), 'management: a list like tcp/22, udp/53'),
    joinToken: token,
    logLevel: need(level !== null && LOG_LEVELS.includes(level) ? level : null, `logLevel: one of ${LOG_LEVELS.join(', ')}`),
  };
  if (wrong.length > 0) throw invalid(file, wrong);
  return settings;
}

function readEngine(value: unknown): { host: string; port: number } | null {
  if (typeof value === 'object' && value !== null) {
    const { host, port = DEFAULT_ENGINE_PORT } = value as { host?: unknown; port?: unknown };
    const checked = readPort(port);
    return typeof host === 'string' && host !== '' && checked !== null ? { host, port: checked } : null;
  }
  if (typeof value !== 'string') return null;
  const match = /^(?:https:\/\/)?(?:\[(?<v6>[0-9a-fA-F:]+)\]|(?<host>[A-Za-z0-9.-]+))(?::(?<port>\d{1,5}))?\/?$/.exec(value)?.groups;
  const host = match?.['v6'] ?? match?.['host'];
  const port = readPort(Number(match?.['port'] ?? DEFAULT_ENGINE_PORT));
  return host && port !== null ? { host, port } : null;
}

function readDriver(value: unknown): AgentSettings['driver'] | null {
  return value === 'libipsec' || value === 'xfrm' || value === 'auto' ? value : null;
}

function readPort(value: unknown): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535 ? value : null;
}

function readManagement(value: unknown): AgentSettings['management'] | null {
  if (!Array.isArray(value)) return null;
  const read = value.map((item: unknown) => {
    const match = typeof item === 'string' ? /^(tcp|udp)\/(\d{1,5})$/.exec(item) : null;
    const port = readPort(Number(match?.[2]));
    return match && port !== null ? { protocol: match[1] as 'tcp' | 'udp', port } : null;
  });
  return read.every((item) => item !== null) ? read : null;
}

async function readToken(inline: string | null, file: string | null, folder: string, wrong: string[]): Promise<string | null> {
  if (inline !== null || file === null) return inline;
  try {
    return (await readFile(resolve(folder, file), 'utf8')).trim();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') wrong.push(`joinTokenFile: ${messageOf(cause)}`);
    return null; // removed after joining: it is needed once only
  }
}

function invalid(file: string, wrong: readonly string[]): ForemeshError {
  return new ForemeshError('AGENT_CONFIG_INVALID', { what: `${file}: ${wrong.join('; ')}`, fix: 'mend these settings of the agent and start it again' });
}
