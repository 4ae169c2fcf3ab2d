import { classId, siteId } from '../../model/index.ts';
import type { SenderSpec } from '../world.ts';

/** A quarter of an hour of the day curve lasts a second here: a day is 96 seconds. */
export const SLOT_MS = 1000;
export const SLOTS_PER_DAY = 96;
export const DAY_MS = SLOT_MS * SLOTS_PER_DAY;

/**
 * The example mesh with its times compressed as its days are; everything else of the intent is as shipped.
 * Six agents share two cores here, and each stands still for a few hundred milliseconds when a config comes: probes are
 * as patient as that asks for. On gateways of their own they need not be (mesh-config/mesh.yaml).
 */
export const DEMO_MESH_YAML = `# yaml-language-server: $schema=../schemas/mesh.schema.json
# The demo's settings: a day lasts ${DAY_MS / 1000} seconds, so all times are as much shorter than a real mesh's.
apiVersion: foremesh/v1
kind: Mesh
name: demo
cycle: 3s
overlayPrefix: 172.30.0.0/16
protectedPrefixes: [10.0.0.0/8, 172.30.0.0/16]
utilisationMax: 80%
idleTimeout: 10s
hold: 5s
forecast:
  slot: ${SLOT_MS / 1000}s
  slotsPerDay: ${SLOTS_PER_DAY}
  horizonSlots: 16
  provision: p90
probe:
  interval: 100ms
  downAfter: 7
  holdDown: 5s
  holdDownMax: 20s
telemetry:
  sampleInterval: 1s
autoApply:
  tunnelsMax: 3
  sitesMax: 5
  trafficShareMax: 60%
  changesPerHourMax: 100
vetoFor: 24h
`;

const sender = (name: string, from: string, to: string, className: string, port: number, more: Pick<SenderSpec, 'flows' | 'packetBytes' | 'rate'>): SenderSpec => ({
  name,
  from: siteId(from),
  to: siteId(to),
  classId: classId(className),
  port,
  ...more,
});

/** The pair whose demand follows the day: its peak is more than one path may carry. */
export const PEAK_PAIR = { from: siteId('berlin'), to: siteId('aws-fra'), lowMbps: 1.5, highMbps: 10.5 };
/** The pair whose path is cut. */
export const CUT_PAIR = { from: siteId('berlin'), to: siteId('paris') };
/** The pair that falls idle. */
export const IDLE_PAIR = { from: siteId('paris'), to: siteId('aws-fra') };
/** The pair with low priority whose tunnel gives way, and the one with high priority that takes its place. */
export const LOW_PAIR = { from: siteId('hamburg'), to: siteId('aws-fra') };
export const HIGH_PAIR = { from: siteId('hamburg'), to: siteId('paris') };

/**
 * What hosts send from the start on.
 * @param phaseMs  shifts the day, so that the morning comes when the story is ready for it
 */
export const sendersOf = (phaseMs: number): readonly SenderSpec[] => [
  sender('reports', PEAK_PAIR.from, PEAK_PAIR.to, 'business', 7000, {
    flows: 40,
    packetBytes: 1200,
    rate: { kind: 'day-curve', lowMbps: PEAK_PAIR.lowMbps, highMbps: PEAK_PAIR.highMbps, slotMs: SLOT_MS, slotsPerDay: SLOTS_PER_DAY, phaseMs },
  }),
  sender('calls', CUT_PAIR.from, CUT_PAIR.to, 'voice', 5000, { flows: 2, packetBytes: 200, rate: { kind: 'constant', mbps: 0.32 } }),
  sender('calls-back', CUT_PAIR.to, CUT_PAIR.from, 'voice', 5000, { flows: 2, packetBytes: 200, rate: { kind: 'constant', mbps: 0.32 } }),
  sender('tills', siteId('hamburg'), siteId('berlin'), 'business', 7001, { flows: 4, packetBytes: 1000, rate: { kind: 'constant', mbps: 0.8 } }),
  sender('archive', IDLE_PAIR.from, IDLE_PAIR.to, 'bulk', 9000, { flows: 8, packetBytes: 1200, rate: { kind: 'constant', mbps: 1.5 } }),
  sender('logs', LOW_PAIR.from, LOW_PAIR.to, 'bulk', 9001, { flows: 8, packetBytes: 1200, rate: { kind: 'constant', mbps: 1 } }),
  sender('directory', siteId('azure-weu'), siteId('berlin'), 'business', 7002, { flows: 4, packetBytes: 1000, rate: { kind: 'constant', mbps: 0.4 } }),
];

/** Starts only when its step comes. */
export const LATE_SENDER: SenderSpec = sender('hotline', HIGH_PAIR.from, HIGH_PAIR.to, 'voice', 5001, { flows: 2, packetBytes: 200, rate: { kind: 'constant', mbps: 0.2 } });
