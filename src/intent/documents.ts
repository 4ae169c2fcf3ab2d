import type { Connection, CryptoSuite, ForecastSettings, NodeRole, Provider, SecurityProfile, TrafficClass, TrafficMatch } from '../model/index.ts';
import type { WEEKDAY_NAMES } from './schema.ts';

/** The shapes of documents after the schema has passed them: every default filled in, units still in the values. */
export interface MeshDocument {
  name: string;
  cycle: string;
  overlayPrefix: string;
  protectedPrefixes: string[];
  utilisationMax: string;
  idleTimeout: string;
  hold: string;
  forecast: { slot: string; slotsPerDay: number; horizonSlots: number; provision: ForecastSettings['provision'] };
  probe: { interval: string; downAfter: number; holdDown: string; holdDownMax: string };
  telemetry: { sampleInterval: string; connections: boolean; users: boolean; services: boolean; roles: { name: string; prefixes: string[] }[] };
  shaping: boolean;
  autoApply: { tunnelsMax: number; sitesMax: number; trafficShareMax: string; changesPerHourMax: number };
  vetoFor: string;
}

export interface SiteDocument {
  name: string;
  location: { city: string; country: string; latitude: number; longitude: number };
  provider: Provider;
  region: string;
  prefixes: string[];
  resolvers: string[];
  relay: boolean;
  nodes: NodeDocument[];
}

export interface NodeDocument {
  name: string;
  role: NodeRole;
  tunnelsMax: number;
  crypto: string;
  lan: { interface: string; address: string; address6?: string; target?: string };
  uplinks: {
    name: string;
    provider: string;
    interface: string;
    address: string;
    up: string;
    down: string;
    nat?: { publicAddress?: string };
    egressCost: number;
    riskGroups: string[];
    drain: boolean;
  }[];
}

export interface TrafficClassDocument {
  name: string;
  priority: number;
  match: { protocol: TrafficMatch['protocol']; ports: (number | string)[]; dscp: number[]; prefixes: string[]; fwmark?: number; names: string[] }[];
  sla: { latencyMax: string; lossMax: string; jitterMax: string };
  protection: TrafficClass['protection'];
  share: string;
  dscp: 'keep' | number;
}

export interface ConnectionDocument {
  name: string;
  between: [string, string];
  mode: Connection['mode'];
  min: string;
  max?: string;
  relays: Connection['relays'];
  securityProfile: string;
  backup: Connection['backup'];
  avoid: { regions: string[]; providers: string[]; uplinks: string[] };
  classes: string[];
}

export interface SecurityProfileDocument {
  name: string;
  level: number;
  ike: CryptoSuite[];
  esp: CryptoSuite[];
  ikeRekey: string;
  espRekey: string;
  pfs: boolean;
  postQuantum: SecurityProfile['postQuantum'];
}

export interface PlannedEventDocument {
  name: string;
  eventKind: string;
  between: [string, string];
  oneWay: boolean;
  classes: string[];
  start?: string;
  duration: string;
  repeat?: { days: (typeof WEEKDAY_NAMES)[number][]; at: string[]; timeZone: string };
  until?: string;
  expect?: string;
  mayLower: boolean;
}

export interface OverrideDocument {
  name: string;
  what: {
    pinPath?: { between: [string, string]; over: [string, string]; class?: string };
    avoidPath?: { over: [string, string] };
    drainNode?: string;
  };
  until: string;
  why: string;
  by: string;
}
