import { gunzipSync } from 'node:zlib';

const BLOCK = 512;
const BUNDLE_BYTES_MAX = 64 * 1024 * 1024;

/** One file out of a gzipped tar archive (as `opa build` writes), null when it is not in it. */
export function readFromBundle(archive: Uint8Array, name: string): Uint8Array | null {
  const tar = gunzipSync(archive, { maxOutputLength: BUNDLE_BYTES_MAX });
  for (let offset = 0; offset + BLOCK <= tar.length; ) {
    const entry = textAt(tar, offset, 100);
    if (entry === '') return null;
    const size = Number.parseInt(textAt(tar, offset + 124, 12).trim(), 8);
    if (!Number.isSafeInteger(size) || size < 0) return null;
    if (entry.replace(/^\.?\//, '') === name) return tar.subarray(offset + BLOCK, offset + BLOCK + size);
    offset += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return null;
}

function textAt(bytes: Buffer, offset: number, length: number): string {
  const field = bytes.subarray(offset, offset + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end === -1 ? length : end);
}
