import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../src/base/index.ts';
import type { TunnelId } from '../../src/model/index.ts';
import type { TrafficPort } from '../ports.ts';

/** Both ends of one exchange are counted by one reading, ms. */
const FRESH_MS = 1;
/** Files of an interface that nobody asks for are closed after this, ms. */
const UNUSED_MS = 60_000;
/** An interface that was not there is not looked for again so soon, ms. */
const MISSING_MS = 500;
const DIGIT_0 = 48;
const DIGIT_9 = 57;

interface Counted {
  sentFile: number;
  receivedFile: number;
  readAtMs: number;
  counts: { sent: number; received: number };
}

/**
 * Counts the packets of one interface by two files of sysfs that stay open: what it costs does not grow with the number of
 * interfaces, so each count is of this very moment. An interface that was made anew under its name is opened again.
 * @param whole  asked for interfaces that sysfs does not show: it may be that of another network namespace
 */
export function createSysCounter(clock: Clock, whole: TrafficPort, folder = '/sys/class/net'): TrafficPort {
  const open = new Map<TunnelId, Counted>();
  const missingSinceMs = new Map<TunnelId, number>();
  const text = Buffer.alloc(32);

  function read(file: number): number {
    const length = readSync(file, text, 0, text.length, 0);
    let value = 0;
    for (let at = 0; at < length && text[at]! >= DIGIT_0 && text[at]! <= DIGIT_9; at++) value = value * 10 + (text[at]! - DIGIT_0);
    return value;
  }

  function openFiles(tunnel: TunnelId, nowMs: number): Counted {
    for (const [other, { readAtMs }] of open) if (nowMs - readAtMs > UNUSED_MS) close(other);
    for (const [other, sinceMs] of missingSinceMs) if (nowMs - sinceMs > UNUSED_MS) missingSinceMs.delete(other);
    const sentFile = openSync(join(folder, tunnel, 'statistics', 'tx_packets'), 'r');
    try {
      const files = { sentFile, receivedFile: openSync(join(folder, tunnel, 'statistics', 'rx_packets'), 'r'), readAtMs: Number.NEGATIVE_INFINITY, counts: { sent: 0, received: 0 } };
      open.set(tunnel, files);
      return files;
    } catch (cause) {
      closeSync(sentFile);
      throw cause;
    }
  }

  function close(tunnel: TunnelId): void {
    const files = open.get(tunnel);
    if (!files) return;
    open.delete(tunnel);
    closeSync(files.sentFile);
    closeSync(files.receivedFile);
  }

  function countsOf(tunnel: TunnelId, files: Counted, nowMs: number): Counted['counts'] {
    if (nowMs - files.readAtMs >= FRESH_MS) {
      files.counts = { sent: read(files.sentFile), received: read(files.receivedFile) };
      files.readAtMs = nowMs;
    }
    return files.counts;
  }

  return {
    counts(tunnel) {
      const nowMs = clock.monotonicMs();
      const known = open.get(tunnel);
      try {
        if (known) return countsOf(tunnel, known, nowMs);
      } catch {
        close(tunnel); // the interface went; another one may have its name by now
      }
      if (nowMs - (missingSinceMs.get(tunnel) ?? Number.NEGATIVE_INFINITY) < MISSING_MS) return whole.counts(tunnel);
      missingSinceMs.delete(tunnel);
      try {
        return countsOf(tunnel, openFiles(tunnel, nowMs), nowMs);
      } catch {
        close(tunnel);
        missingSinceMs.set(tunnel, nowMs);
        return whole.counts(tunnel);
      }
    },
  };
}
