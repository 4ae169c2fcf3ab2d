import type { Dirent } from 'node:fs';
import { lstat, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareText } from './canonical.ts';
import { FindingsError, type Finding } from './errors.ts';

/** One text file of a user's tree; `file` is the path relative to the repository's root, with `/`. */
export interface SourceFile {
  file: string;
  text: string;
}

export interface SourceLimits {
  fileBytesMax: number;
  totalBytesMax: number;
  filesMax: number;
}

/** What a mesh repository may hold at most; a tree beyond it is refused, not truncated. */
export const SOURCE_LIMITS: SourceLimits = { fileBytesMax: 64 * 1024, totalBytesMax: 2 * 1024 * 1024, filesMax: 500 };

/**
 * Reads the text files below `root/folder` whose names end in one of `extensions`, sorted by path; others are ignored,
 * and a folder that does not exist gives []. Hidden entries and `node_modules` are skipped.
 * @throws FindingsError INTENT_LIMIT for a symbolic link, a file that is no plain file or not UTF-8, and beyond the limits; all at once
 */
export async function readSourceFolder(
  root: string,
  folder: string,
  extensions: readonly string[],
  limits: SourceLimits = SOURCE_LIMITS,
): Promise<SourceFile[]> {
  const findings: Finding[] = [];
  const files: SourceFile[] = [];
  let totalBytes = 0;
  for (const file of await listFiles(root, folder, extensions, limits.filesMax, findings)) {
    const size = (await lstat(join(root, file))).size;
    totalBytes += size;
    if (size > limits.fileBytesMax) {
      findings.push(refusal(file, `is ${size} bytes, more than the ${limits.fileBytesMax} that a file may have`, 'split it into several files'));
    } else if (totalBytes <= limits.totalBytesMax) {
      const text = decodeUtf8(await readFile(join(root, file)));
      if (text === null) findings.push(refusal(file, 'is not UTF-8', 'save it as UTF-8'));
      else files.push({ file, text });
    }
  }
  if (totalBytes > limits.totalBytesMax) {
    findings.push(refusal(folder, `holds more than ${limits.totalBytesMax} bytes`, 'remove what is not configuration'));
  }
  if (findings.length > 0) throw new FindingsError(findings);
  return files;
}

async function listFiles(root: string, folder: string, extensions: readonly string[], filesMax: number, findings: Finding[]): Promise<string[]> {
  const found: string[] = [];
  const pending = [folder];
  for (let current = pending.pop(); current !== undefined; current = pending.pop()) {
    for (const entry of await entriesOf(join(root, current))) {
      const file = `${current}/${entry.name}`;
      if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
      if (entry.isDirectory()) pending.push(file);
      else if (!extensions.some((extension) => entry.name.endsWith(extension)) && !entry.isSymbolicLink()) continue;
      else if (entry.isFile()) found.push(file);
      else findings.push(refusal(file, 'is not a plain file', 'replace the link by the file itself'));
      if (found.length > filesMax) {
        findings.push(refusal(folder, `holds more than ${filesMax} files`, 'put several documents into one file, separated by ---'));
        return [];
      }
    }
  }
  return found.sort(compareText);
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw cause;
  }
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null; // not UTF-8 is the answer, not an error
  }
}

function refusal(file: string, what: string, fix: string): Finding {
  return { code: 'INTENT_LIMIT', severity: 'error', what: `${file} ${what}`, where: { file, line: 1, column: 1 }, fix };
}
