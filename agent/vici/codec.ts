import { isUtf8 } from 'node:buffer';
import { ForemeshError } from '../../src/base/index.ts';

/** Text, bytes that are not text, a list of both, or a section of named values. */
export type ViciValue = string | Uint8Array | readonly (string | Uint8Array)[] | ViciMessage;

/** A VICI message: a tree of named values. Members whose value is undefined are left out. */
export interface ViciMessage {
  readonly [key: string]: ViciValue | undefined;
}

/** Sections may stand in sections this deep; strongSwan itself needs five. */
const DEPTH_MAX = 32;
const KEY_BYTES_MAX = 255;
const VALUE_BYTES_MAX = 65_535;

const SECTION_START = 1;
const SECTION_END = 2;
const KEY_VALUE = 3;
const LIST_START = 4;
const LIST_ITEM = 5;
const LIST_END = 6;

/**
 * The bytes of a message, in the order of its members.
 * @throws ForemeshError VICI_PROTOCOL when a name has over 255 bytes, a value over 65 535, or sections are over 32 deep
 */
export function encodeMessage(message: ViciMessage): Buffer {
  const parts: Buffer[] = [];
  encodeSection(message, parts, 0);
  return Buffer.concat(parts);
}

/**
 * The message in `bytes`. A name may be empty: `get-counters` tells so what is counted of all connections. A value comes as text when its bytes are UTF-8, else as bytes. A name that occurs twice in
 * one section keeps its last value. The sections have no prototype, so any name is safe to look up.
 * @throws ForemeshError VICI_PROTOCOL when the bytes are not a whole message
 */
export function decodeMessage(bytes: Uint8Array): ViciMessage {
  const reader = new Reader(bytes);
  const root: Record<string, ViciValue> = emptySection();
  const open = [root];
  while (!reader.atEnd()) {
    const element = reader.byte();
    const section = open.at(-1)!;
    if (element === KEY_VALUE) {
      section[reader.name()] = reader.value();
    } else if (element === LIST_START) {
      section[reader.name()] = decodeList(reader);
    } else if (element === SECTION_START) {
      const inner = emptySection();
      section[reader.name()] = inner;
      open.push(inner);
      if (open.length > DEPTH_MAX) throw malformed(`sections more than ${DEPTH_MAX} deep`);
    } else if (element === SECTION_END) {
      open.pop();
      if (open.length === 0) throw malformed('a section ends that never began');
    } else {
      throw malformed(`element type ${element} does not exist`);
    }
  }
  if (open.length > 1) throw malformed('a section has no end');
  return root;
}

/** The text at `key`, or null when it is absent or not text. */
export function textAt(message: ViciMessage, key: string): string | null {
  const value = message[key];
  return typeof value === 'string' ? value : null;
}

/** The number at `key`, 0 when it is absent or not a number. */
export function numberAt(message: ViciMessage, key: string): number {
  const value = Number(textAt(message, key) ?? 0);
  return Number.isFinite(value) ? value : 0;
}

/** The texts of the list at `key`, [] when absent. */
export function listAt(message: ViciMessage, key: string): string[] {
  const value = message[key];
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

/** The sections inside `message`, with their names, in order. */
export function sectionsOf(message: ViciMessage): [string, ViciMessage][] {
  return Object.entries(message).filter((entry): entry is [string, ViciMessage] => isSection(entry[1]));
}

export function sectionAt(message: ViciMessage, key: string): ViciMessage | null {
  const value = message[key];
  return isSection(value) ? value : null;
}

export function malformed(why: string): ForemeshError {
  return new ForemeshError('VICI_PROTOCOL', { what: `not a VICI message: ${why}`, fix: 'check that the socket is strongSwan\'s VICI socket, and its version' });
}

function encodeSection(section: ViciMessage, parts: Buffer[], depth: number): void {
  if (depth >= DEPTH_MAX) throw malformed(`sections more than ${DEPTH_MAX} deep`);
  for (const [key, value] of Object.entries(section)) {
    if (value === undefined) continue;
    if (typeof value === 'string' || value instanceof Uint8Array) {
      parts.push(element(KEY_VALUE), encodeName(key), encodeValue(value, key));
    } else if (isList(value)) {
      parts.push(element(LIST_START), encodeName(key));
      for (const item of value) parts.push(element(LIST_ITEM), encodeValue(item, key));
      parts.push(element(LIST_END));
    } else {
      parts.push(element(SECTION_START), encodeName(key));
      encodeSection(value, parts, depth + 1);
      parts.push(element(SECTION_END));
    }
  }
}

function element(type: number): Buffer {
  return Buffer.of(type);
}

export function encodeName(name: string): Buffer {
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.length > KEY_BYTES_MAX) throw malformed(`a name has ${bytes.length} bytes, ${KEY_BYTES_MAX} are possible`);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

function encodeValue(value: string | Uint8Array, key: string): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
  if (bytes.length > VALUE_BYTES_MAX) throw malformed(`the value of ${key} has ${bytes.length} bytes, ${VALUE_BYTES_MAX} are possible`);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function decodeList(reader: Reader): (string | Uint8Array)[] {
  const items: (string | Uint8Array)[] = [];
  for (;;) {
    const element = reader.byte();
    if (element === LIST_END) return items;
    if (element !== LIST_ITEM) throw malformed(`element type ${element} inside a list`);
    items.push(reader.value());
  }
}

function isSection(value: ViciValue | undefined): value is ViciMessage {
  return typeof value === 'object' && !(value instanceof Uint8Array) && !Array.isArray(value);
}

function isList(value: ViciValue): value is readonly (string | Uint8Array)[] {
  return Array.isArray(value);
}

function emptySection(): Record<string, ViciValue> {
  return Object.create(null) as Record<string, ViciValue>;
}

/** Walks over bytes and refuses to walk past their end. */
class Reader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  atEnd(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  byte(): number {
    return this.#take(1)[0]!;
  }

  name(): string {
    const bytes = this.#take(this.byte());
    if (!isUtf8(bytes)) throw malformed('a name is not text');
    return bytes.toString('utf8');
  }

  value(): string | Uint8Array {
    const bytes = this.#take(this.#take(2).readUInt16BE());
    return isUtf8(bytes) ? bytes.toString('utf8') : Uint8Array.from(bytes);
  }

  #take(count: number): Buffer {
    const end = this.#offset + count;
    if (end > this.#bytes.length) throw malformed('it ends in the middle of an element');
    const bytes = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return bytes;
  }
}
