import { isAddress, isPrefix } from '../../src/base/index.ts';
import { HOST_NAME_PATTERN, NAME_PATTERN, type NodeConfig, NUMBERED_UPLINKS_MAX } from '../../src/model/index.ts';
import { faultIn, type Formats, type Shape } from './shape.ts';

const NAME = NAME_PATTERN.slice(1, -1);
const name: Shape = { type: 'string', maxLength: 40, pattern: NAME_PATTERN };
/** Goes into nft and ip batches: nothing that either could read as anything else. */
const interfaceName: Shape = { type: 'string', maxLength: 15, pattern: '^[a-z][a-z0-9._-]{0,14}$' };
const address: Shape = { type: 'string', maxLength: 45, format: 'address' };
const hostPrefix: Shape = { type: 'string', maxLength: 49, format: 'host-prefix' };
const prefixes = list({ type: 'string', maxLength: 49, format: 'prefix' }, 2000);
const tunnel: Shape = { type: 'string', maxLength: 10, pattern: '^t-[0-9a-f]{8}$' };
const path: Shape = { type: 'string', maxLength: 170, pattern: `^${NAME}/${NAME}~${NAME}/${NAME}$` };
const port = integer(0, 65_535);
const DAY_MS = 86_400_000;
const rateKbps = integer(1, 1_000_000_000);

const cryptoSuite = object({
  encryption: choice('aes128gcm16', 'aes256gcm16', 'chacha20poly1305', 'aes128cbc', 'aes256cbc', '3des', 'null'),
  integrity: choice('none', 'sha256', 'sha384', 'sha512', 'sha1', 'md5'),
  prf: choice('none', 'prfsha256', 'prfsha384', 'prfsha512', 'prfsha1'),
  group: choice('none', 'x25519', 'ecp256', 'ecp384', 'ecp521', 'modp2048', 'modp3072', 'modp1024', 'modp1536', 'modp768'),
});

const shared = object({
  preferred: name,
  members: list(object({ node: name, address }), 16, 2),
  heartbeat: object({ intervalMs: integer(5, 60_000), missedMax: integer(2, 1000), holdDownMs: integer(0, DAY_MS) }),
  others: list(object({ address: hostPrefix, address6: hostPrefix, preferred: name }, ['address6']), 16),
}, ['others']);

/** Every field, nothing else, everything bounded: what leaves here may be put into kernel and daemon as it is. */
export const NODE_CONFIG_SCHEMA: Shape = object({
  schema: { const: 'foremesh/node-config/v1' },
  node: name,
  site: name,
  serving: { type: 'boolean' },
  lan: object({ interface: interfaceName, address: hostPrefix, address6: hostPrefix, prefixes, target: address, shared }, ['address6', 'target', 'shared']),
  uplinks: list(object({ name, interface: interfaceName, address }), 64),
  protectedPrefixes: prefixes,
  probe: object({ intervalMs: integer(1, 60_000), downAfter: integer(1, 1000), holdDownMs: integer(0, DAY_MS), holdDownMaxMs: integer(0, DAY_MS) }),
  sampleIntervalMs: integer(10, DAY_MS),
  countConnections: { const: true },
  countUsers: object({ roles: list(object({ name, prefixes }), 16) }),
  countServices: { const: true },
  classes: list(
    object({
      id: name,
      priority: integer(0, 1_000_000),
      duplicate: { const: true },
      sla: object({ latencyMaxMs: { type: 'number', exclusiveMinimum: 0, maximum: DAY_MS }, lossMaxRatio: { type: 'number', minimum: 0, maximum: 1 } }),
      dscp: integer(0, 63),
      match: list(
        object({
          protocol: choice('tcp', 'udp', 'icmp', 'any'),
          ports: list(object({ from: port, to: port }), 200),
          dscp: list(integer(0, 63), 64),
          prefixes,
          fwmark: integer(1, 0xffff_ffff),
          names: list({ type: 'string', maxLength: 253, pattern: HOST_NAME_PATTERN }, 64, 1),
        }, ['prefixes', 'fwmark', 'names']),
        200,
      ),
    }, ['duplicate', 'sla', 'dscp']),
    64,
  ),
  resolvers: list(address, 4, 1),
  shaping: list(object({ uplink: name, rateKbps, classes: list(object({ id: name, rateKbps, priority: integer(0, 7) }), 64) }), 64),
  sites: list(object({ id: name, prefixes }), 5000),
  tunnels: list(
    object({
      id: tunnel,
      path,
      peer: name,
      initiator: { type: 'boolean' },
      local: object({ interface: interfaceName, address, overlay: address, nat: { const: true } }, ['nat']),
      remote: object({ address, overlay: address }, ['address']),
      initiatorNumber: integer(1, NUMBERED_UPLINKS_MAX),
      ike: list(cryptoSuite, 16, 1),
      esp: list(cryptoSuite, 16, 1),
      ikeRekeyMs: integer(1000, 90 * DAY_MS),
      espRekeyMs: integer(1000, 90 * DAY_MS),
      postQuantum: choice('ppk', 'mlkem', 'mlkem-preferred'),
    }, ['postQuantum', 'initiatorNumber']),
    10_000,
  ),
  steering: list(
    object({
      to: name,
      prefixes,
      classId: name,
      lanes: list(object({ mark: integer(1, 0xffff_ffff), weight: integer(0, 100), tunnels: list(tunnel, 64), copies: list(tunnel, 64) }, ['copies']), 64),
    }),
    50_000,
  ),
  allow: list(object({ from: prefixes, to: prefixes }), 50_000),
}, ['countConnections', 'countServices', 'countUsers', 'resolvers', 'shaping']);

const FORMATS: Formats = { address: isAddress, prefix: isPrefix, 'host-prefix': isHostPrefix };

/** The value as a NodeConfig, or what is wrong with it: its shape first, then names that must agree with each other. */
export function checkNodeConfig(value: unknown): { ok: true; config: NodeConfig } | { ok: false; what: string } {
  const what = faultIn(value, NODE_CONFIG_SCHEMA, FORMATS) ?? faultOf(value as NodeConfig);
  return what === null ? { ok: true, config: value as NodeConfig } : { ok: false, what };
}

function faultOf(config: NodeConfig): string | null {
  const ids = config.tunnels.map(({ id }) => id);
  const known = new Set<string>(ids);
  if (known.size !== ids.length) return '/tunnels holds a tunnel twice';
  const lost = config.tunnels.find(({ remote, initiator, initiatorNumber }) => remote.address === undefined && (initiator || initiatorNumber === undefined));
  if (lost) return `/tunnels ${lost.id} does not say where or who its peer is`;
  const members = (config.lan.shared?.members ?? []).map(({ node }) => node);
  if (config.lan.shared && [config.node, config.lan.shared.preferred, ...(config.lan.shared.others ?? []).map(({ preferred }) => preferred)].some((node) => !members.includes(node))) return '/lan/shared does not name this node, or prefers one that it does not name';
  if (new Set(members).size !== members.length) return '/lan/shared names a node twice';
  const classes = new Set<string>(config.classes.map(({ id }) => id));
  if (classes.size !== config.classes.length) return '/classes holds a class twice';
  const targets = new Set(config.steering.map(({ to, classId }) => `${to} ${classId}`));
  if (targets.size !== config.steering.length) return '/steering holds a site and class twice';
  for (const { to, classId, lanes } of config.steering) {
    if (!classes.has(classId)) return `/steering names the unknown class ${classId}`;
    const stranger = lanes.flatMap(({ tunnels, copies = [] }) => [...tunnels, ...copies]).find((id) => !known.has(id));
    if (stranger !== undefined) return `/steering towards ${to} names the unknown tunnel ${stranger}`;
  }
  const unshaped = (config.shaping ?? []).flatMap(({ uplink, classes: shares }) => [
    ...(config.uplinks.some(({ name: known }) => known === uplink) ? [] : [`the unknown uplink ${uplink}`]),
    ...shares.filter(({ id }) => !classes.has(id)).map(({ id }) => `the unknown class ${id}`),
  ]);
  if (unshaped[0] !== undefined) return `/shaping names ${unshaped[0]}`;
  const range = config.classes.flatMap(({ match }) => match.flatMap(({ ports }) => ports)).find(({ from, to }) => from > to);
  return range ? `/classes has the port range ${range.from}-${range.to}` : null;
}

/** An address, with or without the length of its network. */
function isHostPrefix(text: string): boolean {
  const [address = '', length, ...rest] = text.split('/');
  if (rest.length > 0 || !isAddress(address)) return false;
  return length === undefined || (/^[1-9][0-9]{0,2}$/.test(length) && Number(length) <= (address.includes(':') ? 128 : 32));
}

function object(properties: Record<string, Shape>, optional: readonly string[] = []): Shape {
  return { type: 'object', additionalProperties: false, required: Object.keys(properties).filter((key) => !optional.includes(key)), properties };
}

function list(items: Shape, maxItems: number, minItems = 0): Shape {
  return { type: 'array', items, minItems, maxItems };
}

function choice(...values: readonly string[]): Shape {
  return { type: 'string', enum: values };
}

function integer(minimum: number, maximum: number): Shape {
  return { type: 'integer', minimum, maximum };
}
