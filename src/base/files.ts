import { randomBytes } from 'node:crypto';
import { constants, type Mode } from 'node:fs';
import { mkdir, open, readFile, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Replaces a file so that a crash at any moment leaves the old bytes or the new ones, never a mixture:
 * temporary file, fsync, rename, fsync of the folder.
 */
export async function writeFileAtomic(file: string, bytes: string | Uint8Array, mode: Mode = 0o644): Promise<void> {
  const folder = dirname(file);
  await mkdir(folder, { recursive: true });
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await writeWhole(temporary, bytes, mode);
    await rename(temporary, file);
  } catch (cause) {
    await unlink(temporary).catch(() => undefined); // the first error is the one that matters; what is left would fill a full disk further
    throw cause;
  }
  await syncFolder(folder);
}

async function writeWhole(file: string, bytes: string | Uint8Array, mode: Mode): Promise<void> {
  const handle = await open(file, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, mode);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The file's text, or null when there is no such file; any other error is thrown. */
export async function readFileIfExists(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw cause;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
