import { mkdir, open, readdir, readFile, truncate, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { ForemeshError, messageOf, type Log } from '../../src/base/index.ts';
import type { SamplesMessage } from '../../src/model/index.ts';
import type { Batch, Outbox } from './outbox.ts';
import type { CounterReading } from './readings.ts';

export interface FileOutboxOptions {
  dir: string;
  log: Log;
  /** All segments together; the oldest goes when it is more. Default 64 MiB. */
  bytesMax?: number;
  /** A segment is closed above this. Default 1 MiB. */
  segmentBytes?: number;
}

interface Segment {
  file: string;
  bytes: number;
}

interface Entry {
  sequence: number;
  segment: Segment;
  offset: number;
  length: number;
}

/**
 * An outbox in append-only files `<first sequence>.log`, a line a batch: CRC-32 in hex, a space, JSON. A line is
 * fsynced before its number is given out, so a kill at any moment loses at most a batch nobody was told about; a torn
 * last line is ignored and its number never used again. Files are never changed, only begun, appended to and deleted;
 * the newest stays even when confirmed, since it knows the last number.
 */
export function createFileOutbox(options: FileOutboxOptions): Outbox {
  const { dir, log } = options;
  const bytesMax = options.bytesMax ?? 64 * 1_048_576;
  const segmentBytes = options.segmentBytes ?? 1_048_576;
  let segments: Segment[] = [];
  let entries: Entry[] = [];
  let handle: FileHandle | null = null;
  let lastSequence = 0;
  let acknowledgedSequence = 0;
  let droppedBatches = 0;
  let reading: CounterReading | null = null;
  let queue: Promise<unknown> = Promise.resolve();

  /** One file operation at a time, in the order of calls. */
  function inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = queue.then(work);
    queue = result.catch(() => undefined); // the caller gets the error; the next operation runs all the same
    return result;
  }

  async function load(): Promise<void> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const names = (await readdir(dir)).filter((name) => /^\d{16}\.log$/.test(name)).sort();
    for (const name of names) await loadSegment(name);
    acknowledgedSequence = (entries[0]?.sequence ?? lastSequence + 1) - 1;
  }

  async function loadSegment(name: string): Promise<void> {
    const file = join(dir, name);
    const bytes = await readFile(file);
    if (bytes.length === 0) return unlink(file); // begun, nothing written: its number was never used
    const segment: Segment = { file, bytes: bytes.length };
    segments.push(segment);
    lastSequence = Math.max(lastSequence, Number(name.slice(0, 16)) - 1);
    for (let offset = 0; offset < bytes.length; ) {
      const end = bytes.indexOf(0x0a, offset);
      const line = bytes.subarray(offset, end === -1 ? bytes.length : end);
      const batch = end === -1 ? null : parseLine(line);
      if (batch && batch.sequence > lastSequence) {
        entries.push({ sequence: batch.sequence, segment, offset, length: line.length });
        ({ sequence: lastSequence, reading } = batch);
      } else {
        lastSequence++; // a torn or damaged line had a number, which may have been seen
        droppedBatches++;
        log.warn({ file, offset }, 'a batch of samples is torn or damaged and is left out');
      }
      offset += line.length + 1;
    }
  }

  async function appendBatch(batch: Omit<Batch, 'sequence'>): Promise<number> {
    lastSequence++;
    const sequence = lastSequence;
    const json = JSON.stringify({ sequence, ...batch });
    const line = Buffer.from(`${crc32(json).toString(16).padStart(8, '0')} ${json}\n`);
    try {
      const segment = await segmentFor(sequence);
      const offset = segment.bytes;
      await handle!.appendFile(line);
      await handle!.datasync();
      segment.bytes += line.length;
      entries.push({ sequence, segment, offset, length: line.length - 1 });
      reading = batch.reading;
    } catch (cause) {
      await closeSegment(); // the next batch begins a new file
      await cutOffTornEnd();
      throw new ForemeshError('TELEMETRY_FAILED', { what: `a batch of samples could not be kept: ${messageOf(cause)}`, fix: `see whether ${dir} is writable and has space`, cause });
    }
    await dropOldest();
    return sequence;
  }

  async function segmentFor(sequence: number): Promise<Segment> {
    const current = segments.at(-1);
    if (handle && current && current.bytes < segmentBytes) return current;
    await closeSegment();
    const segment: Segment = { file: join(dir, `${String(sequence).padStart(16, '0')}.log`), bytes: 0 };
    handle = await open(segment.file, 'ax', 0o600);
    segments.push(segment);
    await syncFolder(dir);
    return segment;
  }

  /** After a batch that did not get into the newest segment: half a line of it goes, and a segment begun for it, or each try on a full disk would leave a file more. */
  async function cutOffTornEnd(): Promise<void> {
    const newest = segments.at(-1);
    if (!newest) return;
    if (newest.bytes === 0) segments = segments.slice(0, -1);
    const repair = newest.bytes === 0 ? unlink(newest.file) : truncate(newest.file, newest.bytes);
    await repair.catch((cause: unknown) => log.warn({ file: newest.file, error: messageOf(cause) }, 'the torn end of a segment of the outbox stays'));
  }

  async function closeSegment(): Promise<void> {
    const open = handle;
    handle = null;
    await open?.close().catch((cause: unknown) => log.warn({ error: messageOf(cause) }, 'a segment of the outbox did not close'));
  }

  async function dropOldest(): Promise<void> {
    while (segments.length > 1 && segments.reduce((sum, segment) => sum + segment.bytes, 0) > bytesMax) {
      const lost = entries.filter((entry) => entry.segment === segments[0]).length;
      droppedBatches += lost;
      await removeFirstSegment();
      log.warn({ lost, droppedBatches }, 'the outbox is full: the oldest samples are dropped');
    }
  }

  async function removeFirstSegment(): Promise<void> {
    const [first, ...rest] = segments;
    segments = rest;
    entries = entries.filter((entry) => entry.segment !== first);
    if (first) await unlink(first.file);
  }

  async function readBatches(afterSequence: number, countMax: number): Promise<SamplesMessage[]> {
    const messages: SamplesMessage[] = [];
    for (const entry of entries.filter(({ sequence }) => sequence > afterSequence).slice(0, countMax)) {
      const batch = await readEntry(entry);
      if (batch) messages.push({ type: 'samples', sequence: batch.sequence, samples: batch.samples });
    }
    return messages;
  }

  async function readEntry(entry: Entry): Promise<Batch | null> {
    const file = await open(entry.segment.file, 'r');
    try {
      const bytes = Buffer.alloc(entry.length);
      await file.read(bytes, 0, entry.length, entry.offset);
      const batch = parseLine(bytes);
      if (batch) return batch;
      entries = entries.filter((other) => other !== entry);
      droppedBatches++;
      log.warn({ sequence: entry.sequence }, 'a batch of samples was damaged on disk and is left out');
      return null;
    } finally {
      await file.close();
    }
  }

  async function forget(sequence: number): Promise<void> {
    acknowledgedSequence = Math.max(acknowledgedSequence, sequence);
    if (sequence > lastSequence) {
      lastSequence = sequence; // the engine knows more than this disk: numbers go on from there
      await closeSegment();
    }
    entries = entries.filter((entry) => entry.sequence > acknowledgedSequence);
    while (segments.length > 1 && !entries.some((entry) => entry.segment === segments[0])) await removeFirstSegment();
  }

  return {
    open: () => inOrder(load),
    append: (samples, ended) => inOrder(() => appendBatch({ samples: [...samples], reading: ended })),
    read: (afterSequence, countMax) => inOrder(() => readBatches(afterSequence, countMax)),
    acknowledge: (sequence) => inOrder(() => forget(sequence)),
    view: () => ({
      lastSequence,
      acknowledgedSequence,
      pendingBatches: entries.filter(({ sequence }) => sequence > acknowledgedSequence).length,
      droppedBatches,
      bytes: segments.reduce((sum, segment) => sum + segment.bytes, 0),
      reading,
    }),
    close: () => inOrder(closeSegment),
  };
}

/** What batches lack that an earlier version left on the disk. */
const LACKING_BEFORE = { droppedBytes: 0 };

function parseLine(line: Buffer): Batch | null {
  const text = line.toString('utf8');
  const json = text.slice(9);
  if (!/^[0-9a-f]{8} $/.test(text.slice(0, 9)) || crc32(json) !== Number.parseInt(text.slice(0, 8), 16)) return null;
  try {
    const batch = JSON.parse(json) as Batch;
    return { ...batch, samples: batch.samples.map((sample) => (sample.kind === 'traffic' ? { ...LACKING_BEFORE, ...sample } : sample)) };
  } catch {
    return null; // a right checksum over no JSON is a file of somebody else; it is left out like a damaged one
  }
}

async function syncFolder(folder: string): Promise<void> {
  const opened = await open(folder, 'r');
  try {
    await opened.sync();
  } finally {
    await opened.close();
  }
}
