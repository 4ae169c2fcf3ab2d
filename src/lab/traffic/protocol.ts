import type { SenderRate } from '../world.ts';

/** Calls to a host's sender process. */
export interface CreateStream {
  destination: string;
  port: number;
  flows: number;
  /** Length of the IP packet, so that rates mean what the network carries. */
  packetBytes: number;
  rate: SenderRate;
}

export interface StreamCreated {
  stream: number;
}

export interface BeginEpoch {
  stream: number;
  epoch: number;
}

/** What was sent in this epoch, by flow; `settled`: at least half a second ago. */
export interface SentReport {
  epoch: number;
  sending: boolean;
  settled: number[];
  total: number[];
  /** Packets that the pacer gave up because the process was held up too long. */
  skipped: number;
}

/** Calls to a host's receiver process. */
export interface ExpectStream {
  stream: number;
  epoch: number;
  /** The receiver's own. */
  destination: string;
  port: number;
}

export interface ReceivedQuery {
  stream: number;
  /** Count only packets below these sequence numbers, by flow. */
  settled: number[];
  /** Whether a silence that still lasts counts as a gap. */
  sending: boolean;
}

export interface ReceivedReport {
  received: number;
  duplicated: number;
  reordered: number;
  longestGapMs: number;
  longestGapAt: number;
  /** What never came between two packets of a flow that did, and when the second of them came (epoch ms); the end is not among them. */
  holes: { flow: number; packets: number; at: number }[];
  /** Of the last full second. */
  mbps: number;
  /** One way, mean over the epoch; null before the first packet. */
  latencyMs: number | null;
  /** Bytes per 100 ms, oldest first, up to the last two minutes; `historyEndAt` is the end of the last, epoch ms. */
  history: number[];
  historyEndAt: number;
}
