import { chmod, chown, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ForemeshError, readFileIfExists, runCommand, writeFileAtomic } from '../../src/base/index.ts';
import type { InstallStep } from './install-plan.ts';

/** What a step did. */
export interface StepResult {
  path: string;
  did: 'made' | 'changed' | 'kept';
  why: string;
}

/**
 * Does the steps below `root` (`/` on the machine itself, another folder for an image), in order; repeating it changes
 * nothing. Below another root owners are left to whoever puts the image together.
 * @throws ForemeshError AGENT_CONFIG_INVALID before anything is written when a file is there that must not be replaced
 */
export async function install(steps: readonly InstallStep[], root: string): Promise<StepResult[]> {
  for (const step of steps) {
    if (step.kind !== 'file' || step.existing !== 'refuse') continue;
    const before = await readFileIfExists(join(root, step.path));
    if (before !== null && before !== step.text) {
      throw new ForemeshError('AGENT_CONFIG_INVALID', { what: `${step.path} is there and says something else`, fix: 'change it by hand, or repeat with --force to replace it' });
    }
  }
  const owners = await ownersOf(steps, root);
  const results: StepResult[] = [];
  for (const step of steps) {
    const did = step.kind === 'folder' ? await ensureFolder(step, root) : await ensureFile(step, root);
    // the user is made from the first file, so it is known from then on
    if (step.path.startsWith('/usr/lib/sysusers.d/') && root === '/') await makeUser(owners);
    await ensureOwner(step, root, owners);
    results.push({ path: step.path, did, why: step.why });
  }
  return results;
}

type Owners = Map<'root' | 'foremesh', { uid: number; gid: number }>;

async function ownersOf(steps: readonly InstallStep[], root: string): Promise<Owners> {
  const owners: Owners = new Map([['root', { uid: 0, gid: 0 }]]);
  if (root === '/' && steps.some(({ owner }) => owner === 'foremesh')) await readUser(owners);
  return owners;
}

async function makeUser(owners: Owners): Promise<void> {
  if (owners.has('foremesh')) return;
  const result = await runCommand('systemd-sysusers', ['foremesh.conf']);
  if (result.exitCode !== 0) throw new ForemeshError('COMMAND_FAILED', { what: `systemd-sysusers: ${result.stderr.trim()}`, fix: 'make the user foremesh by hand: useradd --system --home-dir /var/lib/foremesh --shell /usr/sbin/nologin foremesh' });
  await readUser(owners);
}

async function readUser(owners: Owners): Promise<void> {
  const line = (await readFileIfExists('/etc/passwd'))?.split('\n').find((one) => one.startsWith('foremesh:'));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (uid !== undefined && gid !== undefined) owners.set('foremesh', { uid: Number(uid), gid: Number(gid) });
}

async function ensureFolder({ path, mode }: InstallStep, root: string): Promise<StepResult['did']> {
  const target = join(root, path);
  const made = await mkdir(target, { recursive: true, mode });
  if (made !== undefined) await chmod(target, mode);
  if (made !== undefined) return 'made';
  if (((await stat(target)).mode & 0o777) === mode) return 'kept';
  await chmod(target, mode);
  return 'changed';
}

async function ensureFile(step: Extract<InstallStep, { kind: 'file' }>, root: string): Promise<StepResult['did']> {
  const target = join(root, step.path);
  const before = await readFileIfExists(target);
  if (before !== null && (step.existing === 'keep' || before === step.text)) {
    if (((await stat(target)).mode & 0o777) === step.mode) return 'kept';
    await chmod(target, step.mode);
    return 'changed';
  }
  await writeFileAtomic(target, step.text, step.mode);
  await chmod(target, step.mode); // whatever the umask is
  return before === null ? 'made' : 'changed';
}

async function ensureOwner({ path, owner }: InstallStep, root: string, owners: Owners): Promise<void> {
  const ids = owners.get(owner);
  if (root === '/' && ids) await chown(join(root, path), ids.uid, ids.gid);
}
