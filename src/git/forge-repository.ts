import { writeFileAtomic, runGitBytes } from '../base/index.ts';
import { join } from 'node:path';
import { initBare } from './repository.ts';

/** Runs at the forge for each pushed ref: name, old id, new id. Ours in a few lines, so that a reader can judge it. */
const UPDATE_HOOK = `#!/bin/sh
# Branches only move forward and main and mesh/live stay; a proposal's branch (mesh/plan/*) is rebuilt on the newest base.
zero=0000000000000000000000000000000000000000
case "$1" in
  refs/heads/mesh/plan/*) exit 0 ;;
  refs/heads/main|refs/heads/mesh/live)
    if [ "$3" = "$zero" ]; then echo "foremesh: $1 must not be deleted" >&2; exit 1; fi ;;
  refs/heads/*|refs/mesh/*|refs/tags/*) ;;
  *) echo "foremesh: only branches, tags and refs/mesh/ are kept here, not $1" >&2; exit 1 ;;
esac
[ "$2" = "$zero" ] || [ "$3" = "$zero" ] || git merge-base --is-ancestor "$2" "$3" || {
  echo "foremesh: $1 only moves forward (non-fast-forward); use git revert to take something back" >&2; exit 1; }
`;

/**
 * Makes the local forge's bare repository: every pushed object is checked, branches move forward only (a revert is a new
 * commit, so nothing is lost by that), except a proposal's own branch. Repeating it is harmless.
 */
export async function initForge(dir: string): Promise<void> {
  await initBare(dir);
  const settings = [
    ['receive.fsckObjects', 'true'],
    ['transfer.fsckObjects', 'true'],
    ['receive.denyDeletes', 'false'],
    ['receive.advertisePushOptions', 'false'],
    ['receive.autogc', 'false'],
    ['receive.maxInputSize', '67108864'],
    ['core.logAllRefUpdates', 'true'],
    ['uploadpack.allowAnySHA1InWant', 'false'],
  ] as const;
  for (const [name, value] of settings) await runGitBytes(dir, ['config', name, value]);
  await writeFileAtomic(join(dir, 'hooks', 'update'), UPDATE_HOOK, 0o755);
}
