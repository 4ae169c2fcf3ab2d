import { access, constants, readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { compareText, ForemeshError, runCommand } from '../base/index.ts';

/** The release that `tools/opa/go.mod` and the bootstrap pin; any 1.x speaks the same Rego. */
export const OPA_VERSION = '1.19.1';

/**
 * The OPA program: what `FOREMESH_OPA` names, else `opa` on PATH when it is a 1.x, else the newest in the cache
 * (`$XDG_CACHE_HOME/foremesh/opa-<version>/opa`, the pinned version first), where the bootstrap puts it.
 * @throws ForemeshError TOOL_MISSING when there is none, or FOREMESH_OPA names one that does not run
 */
export async function findOpa(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const named = env['FOREMESH_OPA'];
  if (named) {
    if (await isCompatible(named)) return named;
    throw new ForemeshError('TOOL_MISSING', { what: 'FOREMESH_OPA names a program that is no OPA 1.x', fix: `set it to an OPA ${OPA_VERSION} program, or unset it` });
  }
  for (const candidate of [...onPath(env), ...(await inCache(env))]) if (await isCompatible(candidate)) return candidate;
  throw new ForemeshError('TOOL_MISSING', {
    what: 'OPA is not installed: it compiles the policies',
    fix: `run foremesh once through npm, which fetches OPA ${OPA_VERSION}, or put opa on PATH, or set FOREMESH_OPA`,
  });
}

function onPath(env: NodeJS.ProcessEnv): string[] {
  return (env['PATH'] ?? '').split(delimiter).filter((folder) => folder.startsWith('/')).map((folder) => join(folder, 'opa'));
}

async function inCache(env: NodeJS.ProcessEnv): Promise<string[]> {
  const cache = join(env['XDG_CACHE_HOME'] || join(env['HOME'] ?? homedir(), '.cache'), 'foremesh');
  const pinned = `opa-${OPA_VERSION}`;
  const versions = (await readdir(cache).catch(() => [])).filter((name) => name.startsWith('opa-') && name !== pinned); // no cache yet is no error
  return [pinned, ...versions.sort(compareText).reverse()].map((name) => join(cache, name, 'opa'));
}

async function isCompatible(program: string): Promise<boolean> {
  try {
    await access(program, constants.X_OK);
    const { exitCode, stdout } = await runCommand(program, ['version'], { env: {}, timeoutMs: 20_000 });
    return exitCode === 0 && /^Version: 1\./m.test(stdout.toString('utf8'));
  } catch {
    return false; // not there or not runnable: the next one is tried
  }
}
