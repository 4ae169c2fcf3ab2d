import { readdir, rm, rmdir, stat } from 'node:fs/promises';
import { type Clock, runCommand } from '../../base/index.ts';
import { killMarked, killSessions } from './process.ts';
import { companionFolder, labFolder, labsFolder, listLabs, listProcesses, namespacePrefix } from './record.ts';

/**
 * Takes away all that belongs to a lab: processes (only those recorded that still are the same), namespaces, files.
 * May be called again, and for a lab that is half made or half gone. The folder goes last, so a clean-up that is
 * itself interrupted can be done again.
 */
export async function cleanUp(id: string, clock: Clock): Promise<void> {
  const processes = await listProcesses(id);
  await Promise.all(processes.map((entry) => killMarked(entry, clock)));
  const namespaces = await namespacesOf(id);
  const inodes = await Promise.all(namespaces.map((name) => stat(`/run/netns/${name}`).then(({ ino }) => ino, () => -1))); // -1: someone else removed it
  killSessions(new Set(processes.map((entry) => entry.pid)), new Set(inodes));
  if (namespaces.length > 0) {
    await runCommand('ip', ['-force', '-batch', '-'], { stdin: namespaces.map((name) => `netns del ${name}\n`).join('') });
  }
  await rm(companionFolder(id), { recursive: true, force: true, maxRetries: 3 });
  await rm(labFolder(id), { recursive: true, force: true, maxRetries: 3 });
  await rmdir(labsFolder()).catch(() => undefined); // other labs are still in it, or it is gone
}

/** Cleans up after every lab whose owner is dead; gives their ids. */
export async function cleanUpAbandoned(clock: Clock): Promise<string[]> {
  const abandoned = (await listLabs()).filter((lab) => lab.state === 'abandoned').map((lab) => lab.id);
  for (const id of abandoned) await cleanUp(id, clock);
  return abandoned;
}

/** Names of the lab's namespaces that exist, by its prefix: also those of a record that was lost. */
export async function namespacesOf(id: string): Promise<string[]> {
  const names = await readdir('/run/netns').catch(() => []); // no folder: no namespace was ever made
  return names.filter((name) => name.startsWith(namespacePrefix(id))).sort();
}
