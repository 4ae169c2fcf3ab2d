import { readFile, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { digest, ForemeshError, messageOf, readFileIfExists, writeFileAtomic } from '../base/index.ts';
import type { ModelFileHeader } from './model-file.ts';

/** One version of what was learned. */
export interface RegisteredModel extends ModelFileHeader {
  version: number;
  origin: 'trained' | 'imported';
  registeredAt: number;
  /** sha256 of the file as it lies in the folder. */
  fileDigest: string;
  bytes: number;
  /** The maker's own note about it, such as what it was trained for. */
  note: Record<string, string | number>;
}

export interface RegistryView {
  active: number | null;
  /** A person chose the active version: trainings add versions, but none takes its place. */
  isPinned: boolean;
  /** Newest first. */
  versions: RegisteredModel[];
}

/**
 * Versions of models in one folder: `registry.json` and a file a version. Numbers only grow. The active version and the
 * newest others are kept, `kept` in all. A version's file is written before the list that names it, each atomically, so
 * an end at any moment leaves the list of before or of after.
 */
export interface ModelRegistry {
  view(): Promise<RegistryView>;
  /** The number that the next version gets. */
  nextVersion(): Promise<number>;
  /** Adds a version; a trained one becomes active unless a person pinned another. */
  add(file: Uint8Array, header: ModelFileHeader, more: Pick<RegisteredModel, 'origin' | 'registeredAt' | 'note'>): Promise<RegisteredModel>;
  /** Makes a version the active one; `pin` keeps it against later trainings. @throws ForemeshError API_NOT_FOUND */
  use(version: number, pin: boolean): Promise<RegisteredModel>;
  /** The bytes of a version, as they were written. @throws ForemeshError API_NOT_FOUND, FORECAST_MODEL_INVALID when they are others now */
  read(version: number): Promise<Uint8Array>;
}

const SCHEMA = 'foremesh/model-registry/v1';
const LIST = 'registry.json';
const VERSIONS_KEPT = 5;

interface List extends RegistryView {
  schema: string;
  next: number;
}

/** @param onNotice  told when the list of versions could not be read and a new one was begun */
export function openModelRegistry(folder: string, onNotice: (text: string) => void = () => undefined, kept = VERSIONS_KEPT): ModelRegistry {
  const fileOf = (version: number): string => join(folder, `model-${version}.fmm`);

  async function load(): Promise<List> {
    const text = await readFileIfExists(join(folder, LIST));
    const empty: List = { schema: SCHEMA, next: 1, active: null, isPinned: false, versions: [] };
    if (text === null) return empty;
    try {
      const list = JSON.parse(text) as List;
      if (list.schema !== SCHEMA || !Number.isInteger(list.next) || !Array.isArray(list.versions)) throw new Error(`its schema is not ${SCHEMA}`);
      return list;
    } catch (cause) {
      onNotice(`${join(folder, LIST)} cannot be read, its versions are forgotten: ${messageOf(cause)}`);
      const numbers = (await readdir(folder)).map((name) => Number(/^model-(\d+)\.fmm$/.exec(name)?.[1] ?? 0));
      return { ...empty, next: 1 + Math.max(0, ...numbers) };
    }
  }

  async function store(list: List): Promise<void> {
    await writeFileAtomic(join(folder, LIST), `${JSON.stringify(list, null, 1)}\n`, 0o600);
    const named = new Set(list.versions.map(({ version }) => `model-${version}.fmm`));
    for (const name of await readdir(folder)) if (/^model-\d+\.fmm$/.test(name) && !named.has(name)) await unlink(join(folder, name));
  }

  const find = (list: List, version: number): RegisteredModel => {
    const entry = list.versions.find((each) => each.version === version);
    if (!entry) throw new ForemeshError('API_NOT_FOUND', { what: `there is no model version ${version}`, fix: 'foremesh forecast models list shows those that are kept' });
    return entry;
  };

  return {
    async view() {
      const { active, isPinned, versions } = await load();
      return { active, isPinned, versions };
    },
    nextVersion: async () => (await load()).next,
    async add(file, header, more) {
      const list = await load();
      const entry: RegisteredModel = { version: list.next, ...header, ...more, fileDigest: digest(file), bytes: file.length };
      await writeFileAtomic(fileOf(entry.version), file, 0o600);
      const active = entry.origin === 'trained' && !list.isPinned ? entry.version : list.active;
      const versions = [entry, ...list.versions];
      const others = versions.filter(({ version }) => version !== active).slice(0, Math.max(0, active === null ? kept : kept - 1));
      await store({ ...list, next: list.next + 1, active, versions: versions.filter((each) => each.version === active || others.includes(each)) });
      return entry;
    },
    async use(version, pin) {
      const list = await load();
      const entry = find(list, version);
      await store({ ...list, active: version, isPinned: pin });
      return entry;
    },
    async read(version) {
      const entry = find(await load(), version);
      const bytes = await readFile(fileOf(version)).catch((cause: unknown) => Promise.reject(damaged(fileOf(version), messageOf(cause), cause)));
      if (digest(bytes) !== entry.fileDigest) throw damaged(fileOf(version), 'it has other bytes than were written');
      return bytes;
    },
  };
}

function damaged(file: string, why: string, cause?: unknown): ForemeshError {
  return new ForemeshError('FORECAST_MODEL_INVALID', { what: `${file} cannot be used: ${why}`, fix: 'use another version, restore the file from a backup, or train a new one', cause });
}
