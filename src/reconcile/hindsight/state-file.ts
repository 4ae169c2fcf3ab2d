import { readFile } from 'node:fs/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import { messageOf, writeFileAtomic, type Log } from '../../base/index.ts';

/** What was saved, or null when there is nothing or it cannot be read: it then begins anew, and no decision is lost. */
export async function loadState<State extends { schema: string }>(file: string, schema: State['schema'], log: Log): Promise<State | null> {
  try {
    const value = JSON.parse(gunzipSync(await readFile(file)).toString('utf8')) as State;
    if (value.schema === schema) return value;
    log.warn({ file, schema: value.schema }, 'this form of hindsight is not known; it begins anew');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    log.warn({ file, error: messageOf(error) }, 'hindsight cannot be read; it begins anew');
  }
  return null;
}

export function saveState(file: string, state: { schema: string }): Promise<void> {
  return writeFileAtomic(file, gzipSync(JSON.stringify(state)), 0o600);
}
