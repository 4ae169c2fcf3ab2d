import type { ClassId, NodeId, SiteId } from './ids.ts';

/** Why what a gateway reports is not believed as it is. */
export type DoubtKind = 'offered' | 'ends' | 'drift';

/** A gateway whose reports the others contradict. */
export interface Quarantine {
  node: NodeId;
  site: SiteId;
  /** Epoch ms. */
  since: number;
  kind: DoubtKind;
  /** In a sentence, with figures. */
  why: string;
  /** Windows in a row in which nobody contradicted it, and how many it takes. */
  cleanWindows: number;
  cleanNeeded: number;
}

/** What one gateway reports cannot be, whatever the others say: figures that no counter shows, or times that are not now. */
export type ReportDoubt =
  | { node: NodeId; kind: 'figures'; samples: number; /** Epoch ms. */ lastAt: number; example: string }
  | { node: NodeId; kind: 'clock'; /** Ahead of the engine's clock; behind where negative. */ offsetMs: number };

/** Time in which a site's reports are not learned from; `untilAt` is null while it goes on. */
export interface UntrustedSpan {
  site: SiteId;
  /** Where only what it says of traffic to one site is doubted. */
  to?: SiteId;
  fromAt: number;
  untilAt: number | null;
  why: string;
}

/** What the others' counters leave of a pair's reported demand in one window. */
export interface DemandBound {
  /** Begin of the window, epoch ms. */
  startAt: number;
  from: SiteId;
  to: SiteId;
  /** Of all classes together, Mbit/s; less than was reported. */
  allowedMbps: number;
}

/** A window in which nobody knows what a site's hosts offered to another: whoever reports it is contradicted, and nobody else can say. */
export interface UnknownDemand {
  /** Begin of the window, epoch ms. */
  startAt: number;
  from: SiteId;
  to: SiteId;
}

/** Bytes of one class that a node says its hosts offered to a site, in one window. */
export interface OfferedBytes {
  node: NodeId;
  from: SiteId;
  to: SiteId;
  classId: ClassId;
  window: number;
  bytes: number;
  /** What of it shaping dropped. */
  droppedBytes: number;
}

/** Bytes of one tunnel as one end counted them, and for how much of the window it did. */
export interface TunnelBytes {
  node: NodeId;
  tunnel: string;
  window: number;
  rxBytes: number;
  txBytes: number;
  countedMs: number;
}

/** What everybody counted in windows of `windowMs`; a window's number is its begin divided by its length. */
export interface Evidence {
  windowMs: number;
  fromWindow: number;
  untilWindow: number;
  offered: OfferedBytes[];
  tunnels: TunnelBytes[];
}
