import { choice, field, flag, integer, list, number, object, VALUE_TYPES, type JsonSchema } from './schema-parts.ts';

export const API_VERSION = 'foremesh/v1';

/** The kinds of documents an intent is made of. */
export const INTENT_KINDS = ['Mesh', 'Site', 'TrafficClass', 'Connection', 'SecurityProfile', 'PlannedEvent', 'Override'] as const;
export type IntentKind = (typeof INTENT_KINDS)[number];

export const WEEKDAY_NAMES = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

const suite = object(
  'One set of algorithms, all of which must be agreed on together.',
  {
    encryption: choice(
      ['aes128gcm16', 'aes256gcm16', 'chacha20poly1305', 'aes128cbc', 'aes256cbc', '3des', 'null'],
      'Encryption. The AEAD ciphers (gcm, poly1305) authenticate too. The policy refuses the weak ones, which are listed so that it can say why.',
    ),
    integrity: choice(['none', 'sha256', 'sha384', 'sha512', 'sha1', 'md5'], 'Authentication for ciphers that are not AEAD; none for AEAD.', 'none'),
    prf: choice(['none', 'prfsha256', 'prfsha384', 'prfsha512', 'prfsha1'], 'IKE only: the function keys are derived with.', 'none'),
    group: choice(
      ['none', 'x25519', 'ecp256', 'ecp384', 'ecp521', 'modp2048', 'modp3072', 'modp1024', 'modp1536', 'modp768'],
      'Key exchange. In esp it gives perfect forward secrecy; none means the IKE keys are used again.',
      'none',
    ),
  },
  ['encryption'],
);

const uplink = object(
  'One WAN attachment of a node.',
  {
    name: field('name', 'Name, unique within the node.'),
    provider: field('name', 'Who sells it. Two uplinks of one provider may fail together, so a backup prefers another.'),
    interface: field('interface', 'The Linux interface it is plugged into.'),
    address: field('address', 'Its underlay address, IPv4 or IPv6, by which peers reach it unless it is behind NAT. Paths join uplinks of the same family.'),
    nat: object('It is behind NAT: `address` is its own, and peers see another. At one end of a path only, unless publicAddress is there.', {
      publicAddress: field('address', 'What peers reach it by, with UDP ports 500 and 4500 forwarded to it. Absent: not known or changing, so this end always begins; peers tell it by its certificate.'),
    }, []),
    up: field('bandwidth', 'What it can send.'),
    down: field('bandwidth', 'What it can receive.'),
    egressCost: number(0, 1000, 'USD per GB sent.', 0),
    riskGroups: list({ $ref: '#/$defs/name' }, 'Things it shares with others that can fail: ducts, exchanges, buildings.', 16, { default: [] }),
    drain: flag('Being emptied for maintenance: no new tunnels, existing ones move away.', false),
  },
  ['name', 'provider', 'interface', 'address', 'up', 'down'],
);

const node = object(
  'A gateway: a machine that runs an agent.',
  {
    name: field('name', 'Name, unique in the mesh; its certificate is made out to it.'),
    role: choice(['active', 'standby'], 'A site has one active node, or two that share its traffic, each with a LAN address of its own; standby nodes take over.', 'active'),
    tunnelsMax: integer(1, 10_000, 'How many tunnels it may hold.', 64),
    crypto: field('bandwidth', 'All traffic it can encrypt or decrypt.', '1Gbps'),
    lan: object(
      'Its side towards the hosts of the site.',
      {
        interface: field('interface', 'The Linux interface of the LAN.', 'lan'),
        address: field('hostPrefix', 'The gateway address of the LAN. An active node and those that stand by for it have the same; the serving one owns it. Two active nodes have one each, for half of the hosts each.'),
        address6: field('hostPrefix6', 'The same for hosts with IPv6.'),
        target: field('address', 'Something behind the gateway that answers pings: when it falls silent, peers are asked to use another gateway of the site.'),
      },
      ['address'],
    ),
    uplinks: list(uplink, 'Its WAN attachments.', 16, { minItems: 1 }),
  },
  ['name', 'lan', 'uplinks'],
);

const match = object(
  'Traffic that fits all given parts; an empty match fits everything.',
  {
    protocol: choice(['tcp', 'udp', 'icmp', 'any'], 'The transport protocol.', 'any'),
    ports: list({ $ref: '#/$defs/portRange' }, 'Destination ports; empty means any.', 64, { default: [] }),
    dscp: list(integer(0, 63, 'A DSCP code point.'), 'DSCP code points; empty means any.', 64, { default: [] }),
    prefixes: list({ $ref: '#/$defs/prefix' }, 'Destinations; empty means any.', 256, { default: [] }),
    fwmark: integer(1, 4_294_967_295, 'The packet mark that something else on the gateway has set before our rules look, such as nDPI. Relays and the far gateway do not see it.'),
    names: list({ $ref: '#/$defs/hostName' }, 'Destinations by host name: the addresses at other sites that resolvers of the site (Site.resolvers) give hosts for these names. Empty means any. Relays and the far gateway do not know them.', 64, { default: [] }),
  },
  [],
);

const PROPERTIES: Record<IntentKind, { description: string; properties: Record<string, JsonSchema>; required: readonly string[] }> = {
  Mesh: {
    description: 'Settings of the whole mesh. A repository has exactly one.',
    properties: {
      name: field('name', 'Name of the mesh.'),
      cycle: field('duration', 'How often the engine reconsiders without being woken.', '60s'),
      overlayPrefix: field('ipv4Prefix', 'Addresses of the tunnels themselves are taken from here, whatever the tunnels carry. No site may use it.', '172.30.0.0/16'),
      protectedPrefixes: list({ $ref: '#/$defs/prefix' }, 'No gateway lets packets to these leave in clear text, whatever else happens. Every IPv6 prefix of a site has to be in here.', 64, {
        default: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'],
      }),
      utilisationMax: field('ratio', 'A path is planned up to this share of its bandwidth.', '80%'),
      idleTimeout: field('duration', 'An auto tunnel without traffic and without forecast for this long is torn down.', '30m'),
      hold: field('duration', 'A tunnel is kept at least this long after it was planned, so that plans do not flap.', '10m'),
      forecast: object(
        'How demand is forecast.',
        {
          slot: field('duration', 'Demand is averaged and forecast in slots of this length.', '15m'),
          slotsPerDay: integer(2, 1440, 'Slots in one season, a day; a week is seven of them.', 96),
          horizonSlots: integer(1, 96, 'How many slots ahead are forecast.', 4),
          provision: choice(['p50', 'p90', 'p95'], 'The quantile of the forecast that plans provide for.', 'p95'),
        },
        [],
        { default: {} },
      ),
      probe: object(
        'How paths are probed, inside their tunnels and from both ends.',
        {
          interval: field('duration', 'Time between two probes.', '50ms'),
          downAfter: integer(2, 100, 'So many missed probes in a row mean that the path is down.', 4),
          holdDown: field('duration', 'Clean time before traffic returns to a path.', '60s'),
          holdDownMax: field('duration', 'For a path that keeps failing the clean time doubles each time, up to this; less than holdDown means no doubling.', '10m'),
        },
        [],
        { default: {} },
      ),
      shaping: flag('Whether gateways queue what they send by traffic class, within the up of each uplink, so that a full uplink delays and drops the least urgent. Needs true figures for up.', false),
      telemetry: object(
        'What agents report.',
        { sampleInterval: field('duration', 'Time between two reports.', '10s'), connections: flag('Also how many connections each gateway tracks; never whose.', false),
          users: flag('Also how many hosts are active, by traffic class and by role; never which, and fewer than 5 are told as 0.', false),
          services: flag('Also how many connections hosts begin by TCP port, and how many packets they send by UDP port, by site pair and class, the ten heaviest ports; never whose, and fewer than 5 in 5 minutes are not told.', false),
          roles: list(
            object('People or machines of one kind, told by where they sit.', { name: field('name', 'Name, unique among roles.'), prefixes: list({ $ref: '#/$defs/prefix' }, 'Where they sit.', 64, { minItems: 1 }) }, ['name', 'prefixes']),
            'By which active hosts are counted where users is true.', 16, { default: [] }),
        },
        [], { default: {} }),
      autoApply: object(
        'How much may change without a person. The change policy reads these; beyond them a change becomes a proposal.',
        {
          tunnelsMax: integer(0, 10_000, 'Tunnels added, removed and moved in one change.', 4),
          sitesMax: integer(0, 10_000, 'Sites touched by one change.', 3),
          trafficShareMax: field('ratio', 'Share of all planned traffic that one change may re-route.', '50%'),
          changesPerHourMax: integer(0, 10_000, 'Changes in any hour.', 20),
        },
        [],
        { default: {} },
      ),
      vetoFor: field('duration', 'How long a revert keeps the reverted change from coming back.', '24h'),
    },
    required: ['name'],
  },
  Site: {
    description: 'A place with hosts and gateways: an office, a shop, a cloud region.',
    properties: {
      name: field('name', 'Name, unique in the mesh.'),
      location: object(
        'Where it is. Distance bounds what a latency can be.',
        {
          city: field('label', 'City.'),
          country: { type: 'string', description: 'Country, two letters (ISO 3166-1).', pattern: '^[A-Z]{2}$', examples: ['DE'] },
          latitude: number(-90, 90, 'Degrees north.'),
          longitude: number(-180, 180, 'Degrees east.'),
        },
        ['city', 'country', 'latitude', 'longitude'],
      ),
      provider: choice(['onprem', 'aws', 'azure', 'gcp'], 'Whose building it is.', 'onprem'),
      region: field('name', 'Region of the cloud provider, or a name of your own for a group of offices.', 'onprem'),
      prefixes: list({ $ref: '#/$defs/prefix' }, 'The networks its hosts live in. Sites may not overlap.', 256, { minItems: 1 }),
      resolvers: list({ $ref: '#/$defs/ipv4Address' }, 'Name servers that its hosts ask over UDP, at another site or at the LAN address of its own gateway. Gateways learn from their answers which addresses the names of traffic classes have.', 4, { default: [] }),
      relay: flag('May carry traffic between other sites.', false),
      nodes: list(node, 'Its gateways: one or two active, and any number of standby ones.', 16, { minItems: 1 }),
    },
    required: ['name', 'location', 'prefixes', 'nodes'],
  },
  TrafficClass: {
    description: 'A kind of traffic, how to recognise it and what it needs.',
    properties: {
      name: field('name', 'Name, unique in the mesh.'),
      priority: integer(0, 100, '0 is served first. Classes are tried in this order, so give each its own.'),
      match: list(match, 'Traffic belongs to the class when one of these fits.', 64, { minItems: 1, default: [{}] }),
      sla: object(
        'What its paths must keep to.',
        {
          latencyMax: field('duration', 'Round trip.', '1s'),
          lossMax: field('ratio', 'Share of packets that may be lost.', '5%'),
          jitterMax: field('duration', 'Mean difference of neighbouring round trips.', '1s'),
        },
        [],
        { default: {} },
      ),
      protection: choice(
        ['none', 'backup', 'duplicate'],
        'backup: a second path that shares no risk stands by, up and probed, before anything fails. duplicate: every packet is also sent twice, over two paths without a common uplink; the far gateway passes on the first to come, so that none is lost when one path dies. It costs its bandwidth twice.',
        'none',
      ),
      share: field('ratio', 'With shaping: the part of every uplink that the class gets even when more urgent classes want it all. What nobody uses goes to whoever wants it, most urgent first. All shares together are at most 100%.', '0%'),
      dscp: {
        type: ['integer', 'string'],
        minimum: 0,
        maximum: 63,
        maxLength: 4,
        pattern: '^keep$',
        description: 'The DSCP code point its packets get at the first gateway; keep leaves what the host wrote.',
        default: 'keep',
      },
    },
    required: ['name', 'priority'],
  },
  Connection: {
    description: 'What may and should run between two sites, both directions. The last one that names both sites decides (files by path, then order in the file).',
    properties: {
      name: field('name', 'Name, unique in the mesh.'),
      between: list({ $ref: '#/$defs/selector' }, 'The two sites; a * at the end matches a prefix.', 2, { minItems: 2 }),
      mode: choice(['always', 'auto', 'never'], 'always: the tunnel stands; auto: when traffic or the forecast asks for it; never: the two may not talk.', 'auto'),
      min: field('bandwidth', 'Bandwidth to provide even when less is forecast.', '0Mbps'),
      max: field('bandwidth', 'Bandwidth to provide at most; absent means no bound.'),
      relays: choice(['allow', 'deny'], 'Whether a third site may carry the traffic.', 'allow'),
      securityProfile: field('name', 'The security profile of its tunnels.', 'standard'),
      backup: choice(['class', 'none'], 'class: as the traffic class says; none: no second path stands by, whatever the class says.', 'class'),
      avoid: object(
        'What its paths keep away from.',
        {
          regions: list({ $ref: '#/$defs/name' }, 'Regions to keep out of, with ends and relays.', 64, { default: [] }),
          providers: list({ $ref: '#/$defs/name' }, 'Providers not to use, of uplinks and of sites.', 64, { default: [] }),
          uplinks: list({ $ref: '#/$defs/uplinkName' }, 'Uplinks not to use.', 256, { default: [] }),
        },
        [],
        { default: {} },
      ),
      classes: list({ $ref: '#/$defs/name' }, 'The traffic classes that may use it; empty means all.', 64, { default: [] }),
    },
    required: ['name', 'between'],
  },
  SecurityProfile: {
    description: 'The cryptography of tunnels. Suites are offered in the order written.',
    properties: {
      name: field('name', 'Name, unique in the mesh.'),
      level: integer(1, 3, 'How strong it is, 1 to 3. Traffic never uses a tunnel of a lower level than its connection asks for.'),
      ike: list(suite, 'Suites of the key exchange, best first.', 8, { minItems: 1 }),
      esp: list(suite, 'Suites of the data packets, best first.', 8, { minItems: 1 }),
      ikeRekey: field('duration', 'Keys of the key exchange are renewed after this long.', '4h'),
      espRekey: field('duration', 'Keys of the data packets are renewed after this long.', '1h'),
      pfs: flag('Perfect forward secrecy: each rekey makes a fresh key exchange.', true),
      postQuantum: choice(['off', 'ppk', 'mlkem', 'mlkem-preferred'], 'Protection against later quantum computers. ppk: a key shared by the two nodes; mlkem: ML-KEM in each key exchange, for which both ends need strongSwan 6, and no tunnel without; mlkem-preferred: the same where both ends have it, else without.', 'off'),
    },
    required: ['name', 'level', 'ike', 'esp'],
  },
  PlannedEvent: {
    description: 'Something that will change traffic and that people know of before: a backup window, a product launch. Past ones stay: they teach what the next of their kind will do.',
    properties: {
      name: field('name', 'Name, unique in the mesh.'),
      eventKind: field('name', 'Of what kind it is, in your own words, such as backup-window: events of one kind teach each other.'),
      between: list({ $ref: '#/$defs/selector' }, 'The pairs of sites it concerns; a * at the end matches a prefix.', 2, { minItems: 2, default: ['*', '*'] }),
      oneWay: flag('Only traffic from the first site to the second.', false),
      classes: list({ $ref: '#/$defs/name' }, 'The traffic classes it concerns; empty means all.', 64, { default: [] }),
      start: field('instant', 'When it begins; with repeat, nothing begins before.'),
      duration: field('duration', 'How long it lasts.'),
      repeat: object(
        'It takes place again and again, by the clock on the wall: summer time moves it along.',
        {
          days: list(choice(WEEKDAY_NAMES, 'A day of the week.'), 'On which days; absent means every day.', 7, { minItems: 1, default: [...WEEKDAY_NAMES] }),
          at: list({ $ref: '#/$defs/timeOfDay' }, 'When it begins.', 24, { minItems: 1 }),
          timeZone: field('timeZone', 'Whose clocks.', 'UTC'),
        },
        ['at'],
      ),
      until: field('instant', 'With repeat: nothing begins from then on.'),
      expect: field('expectedChange', 'What it does where nothing of its kind has been seen yet: times what would come without it, or so much more. Absent: nobody knows; it is learned when it has happened.'),
      mayLower: flag('Whether expect may say less than usual, so that plans provide less: a site that is closed.', false),
    },
    required: ['name', 'eventKind', 'duration'],
  },
  Override: {
    description: "A person's temporary order to the planner; `foremesh override set` writes the same without a file.",
    properties: {
      name: field('name', 'Name, unique in the mesh.'),
      what: object(
        'Exactly one of these.',
        {
          pinPath: object(
            "Carry a pair's traffic over this path.",
            {
              between: list({ $ref: '#/$defs/name' }, 'From site, to site.', 2, { minItems: 2 }),
              over: list({ $ref: '#/$defs/uplinkName' }, 'The uplinks at the two ends of the path.', 2, { minItems: 2 }),
              class: field('name', 'Only this traffic class of the pair; absent means all. A pin of a class wins against one of the whole pair.'),
            },
            ['between', 'over'],
          ),
          avoidPath: object('Keep off this path.', { over: list({ $ref: '#/$defs/uplinkName' }, 'The uplinks at the two ends of the path.', 2, { minItems: 2 }) }, ['over']),
          drainNode: field('name', 'Move everything off this node.'),
        },
        [],
        { minProperties: 1, maxProperties: 1 },
      ),
      until: field('instant', 'It has no effect from then on.'),
      why: field('label', 'The reason, for whoever reads it later.'),
      by: { type: 'string', description: 'Who ordered it.', minLength: 1, maxLength: 100, pattern: '^[A-Za-z0-9][A-Za-z0-9 ._@+-]*$', examples: ['ada@example.org'] },
    },
    required: ['name', 'what', 'until', 'why', 'by'],
  },
};

/** The JSON Schema (2020-12) of each kind, defaults and documentation included: what loaders check and editors complete. */
export const INTENT_SCHEMAS: Readonly<Record<IntentKind, JsonSchema>> = {
  Mesh: schemaOf('Mesh'),
  Site: schemaOf('Site'),
  TrafficClass: schemaOf('TrafficClass'),
  Connection: schemaOf('Connection'),
  SecurityProfile: schemaOf('SecurityProfile'),
  PlannedEvent: schemaOf('PlannedEvent'),
  Override: schemaOf('Override'),
};

/** One schema for files that hold documents of several kinds; `kind` decides. */
export const COMBINED_SCHEMA: JsonSchema = {
  ...head('foremesh', 'Foremesh intent'),
  description: 'Any document of a Foremesh mesh repository.',
  type: 'object',
  required: ['apiVersion', 'kind'],
  properties: { apiVersion: { const: API_VERSION }, kind: { enum: INTENT_KINDS } },
  allOf: INTENT_KINDS.map((kind) => ({
    if: { properties: { kind: { const: kind } }, required: ['kind'] },
    // oxlint-disable-next-line unicorn/no-thenable -- JSON Schema's word, and nobody awaits a schema
    then: { $ref: `#/$defs/${kind}` },
  })),
  $defs: { ...VALUE_TYPES, ...Object.fromEntries(INTENT_KINDS.map((kind) => [kind, bodyOf(kind)])) },
};

function schemaOf(kind: IntentKind): JsonSchema {
  return { ...head(kind, kind), ...bodyOf(kind), $defs: VALUE_TYPES };
}

function head(name: string, title: string): JsonSchema {
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', $id: `urn:foremesh:v1:${name.toLowerCase()}`, title };
}

function bodyOf(kind: IntentKind): JsonSchema {
  const { description, properties, required } = PROPERTIES[kind];
  return object(
    description,
    {
      apiVersion: { type: 'string', const: API_VERSION, description: 'Version of this format.' },
      kind: { type: 'string', const: kind, description: 'What the document describes.' },
      ...properties,
    },
    ['apiVersion', 'kind', ...required],
  );
}
