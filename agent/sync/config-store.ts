import { join } from 'node:path';
import { digest, type Log, messageOf, readFileIfExists, writeFileAtomic } from '../../src/base/index.ts';
import type { SignedConfig } from '../../src/model/index.ts';

/** What survives a restart: the config the node runs, with its proof, and those before it. */
export interface StoredConfig {
  generation: number;
  commit: string;
  signed: SignedConfig;
  /** Configs whose tunnels may still carry traffic when the agent comes back, newest first. */
  earlier: SignedConfig[];
}

/** Keeps the last accepted config. `save` has it on disk when it resolves. */
export interface ConfigStore {
  /** All undamaged copies, newest first. */
  load(): Promise<StoredConfig[]>;
  save(stored: StoredConfig): Promise<void>;
}

const COPIES = ['config-a.json', 'config-b.json'] as const;
const SCHEMA = 'foremesh/stored-config/v1';

/**
 * Two copies in `stateDir`, each whole or old by atomic replacement, written one after the other: whatever single file
 * a crash or a bad disk damages, the other holds the same config (or, within one save, the one before it).
 * @param write  for tests that stop between the two
 */
export function createFileConfigStore(stateDir: string, log: Log, write: typeof writeFileAtomic = writeFileAtomic): ConfigStore {
  return {
    async load() {
      const copies = await Promise.all(COPIES.map((name) => readCopy(join(stateDir, name), log)));
      return copies.filter((copy) => copy !== null).sort((left, right) => right.generation - left.generation);
    },
    async save(stored) {
      const text = `${JSON.stringify({ schema: SCHEMA, digest: digest(stored), stored })}\n`;
      for (const name of COPIES) await write(join(stateDir, name), text, 0o600);
    },
  };
}

/** The same without a disk: for the simulated network, where the object is what outlives the agent. */
export function createMemoryConfigStore(): ConfigStore {
  let kept: StoredConfig | null = null;
  return {
    load: () => Promise.resolve(kept ? [kept] : []),
    save(stored) {
      kept = stored;
      return Promise.resolve();
    },
  };
}

async function readCopy(file: string, log: Log): Promise<StoredConfig | null> {
  const text = await readFileIfExists(file);
  if (text === null) return null;
  try {
    const parsed = JSON.parse(text) as { schema?: unknown; digest?: unknown; stored?: StoredConfig };
    if (parsed.schema !== SCHEMA || !parsed.stored || parsed.digest !== digest(parsed.stored)) throw new Error('its digest does not fit its content');
    return parsed.stored;
  } catch (cause) {
    log.error({ file, error: messageOf(cause) }, 'STATE_DAMAGED: a copy of the config is not readable, the other one is used');
    return null;
  }
}
