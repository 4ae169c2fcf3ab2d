import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ForemeshError, readFileIfExists, writeFileAtomic } from '../../base/index.ts';
import type { Intent } from '../../model/index.ts';
import { isAlive, type ProcessMark } from './process.ts';

/** What is on disk about one lab, from before its first namespace until after its last. */
export interface LabRecord {
  schema: 'foremesh/lab/v1';
  id: string;
  createdAt: number;
  /** The process the lab lives and dies with; null: it stays until `lab down`. */
  owner: ProcessMark | null;
  namespaces: string[];
  /** Seed of the WAN's randomness. */
  seed: string;
  intent: Intent;
}

/** One process of a lab: `relay`, `engine`, `agent.berlin-gw1`, `charon.berlin-gw1`, `sender.berlin`. */
export interface LabProcess extends ProcessMark {
  role: string;
}

const ID = /^[a-z0-9]{1,6}$/;

/** Folder of all labs: root only, on disk (not /run, which charon sees replaced by its own). */
export function labsFolder(): string {
  return process.env['FOREMESH_LAB_DIR'] ?? '/var/lib/foremesh-lab';
}

export function labFolder(id: string): string {
  return join(labsFolder(), checkedLabId(id));
}

/** For what whoever starts a lab keeps with it, e.g. the repository of the demo; goes when the lab goes. */
export function companionFolder(id: string): string {
  return `${labFolder(id)}.files`;
}

/** A fresh id: four letters or digits. */
export function newLabId(): string {
  return randomBytes(8).toString('base64url').toLowerCase().replaceAll(/[^a-z0-9]/g, '').padEnd(4, 'x').slice(0, 4);
}

/** @throws ForemeshError LAB_FAILED unless it is 1–6 of a–z and 0–9; ids become parts of file and namespace names */
export function checkedLabId(id: string): string {
  if (ID.test(id)) return id;
  throw new ForemeshError('LAB_FAILED', { what: `not a lab id: ${JSON.stringify(id.slice(0, 40))}`, fix: 'use one that `foremesh lab status` lists' });
}

export function namespacePrefix(id: string): string {
  return `fm${checkedLabId(id)}-`;
}

/**
 * Makes the lab's folder (0700) with its record in one step, so that no other process ever sees one without the other.
 * @throws ForemeshError LAB_FAILED when that id is taken
 */
export async function createRecord(record: LabRecord): Promise<string> {
  const folder = labFolder(record.id);
  const draft = join(labsFolder(), `.${record.id}.${randomBytes(4).toString('hex')}`);
  await mkdir(draft, { recursive: true, mode: 0o700 });
  await chmod(labsFolder(), 0o700);
  await mkdir(join(draft, 'processes'));
  await mkdir(join(draft, 'logs'));
  await mkdir(join(draft, 'tmp'));
  await writeFileAtomic(join(draft, 'lab.json'), JSON.stringify(record), 0o600);
  try {
    await rename(draft, folder);
  } catch (cause) {
    await rm(draft, { recursive: true, force: true });
    throw new ForemeshError('LAB_FAILED', { what: `a lab "${record.id}" exists already`, fix: `foremesh lab down ${record.id}`, cause });
  }
  return folder;
}

/** The record, or null when there is no such lab. */
export async function readRecord(id: string): Promise<LabRecord | null> {
  const text = await readFileIfExists(join(labFolder(id), 'lab.json'));
  return text === null ? null : (JSON.parse(text) as LabRecord);
}

export interface LabSummary {
  id: string;
  createdAt: number | null;
  /** `detached`: stays until `lab down`; `abandoned`: its owner is dead, so `cleanUp` may have it. */
  state: 'running' | 'detached' | 'abandoned';
  namespaces: number;
}

/** All labs on this machine, by id. */
export async function listLabs(): Promise<LabSummary[]> {
  const names = await readdir(labsFolder()).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return [];
    throw cause;
  });
  const labs = await Promise.all(names.filter((name) => ID.test(name)).sort().map(summarise));
  return labs;
}

async function summarise(id: string): Promise<LabSummary> {
  const record = await readRecord(id);
  if (!record) return { id, createdAt: null, state: 'abandoned', namespaces: 0 };
  const state = record.owner === null ? 'detached' : isAlive(record.owner) ? 'running' : 'abandoned';
  return { id, createdAt: record.createdAt, state, namespaces: record.namespaces.length };
}

export async function recordProcess(id: string, entry: LabProcess): Promise<void> {
  await writeFileAtomic(processFile(id, entry.role), JSON.stringify(entry), 0o600);
}

/** The process last started in a role, alive or not; null when there was none. */
export async function findProcess(id: string, role: string): Promise<LabProcess | null> {
  const text = await readFileIfExists(processFile(id, role));
  return text === null ? null : (JSON.parse(text) as LabProcess);
}

export async function listProcesses(id: string): Promise<LabProcess[]> {
  const folder = join(labFolder(id), 'processes');
  const files = await readdir(folder).catch(() => []); // no folder: the lab is gone or was never complete
  const texts = await Promise.all(files.filter((file) => file.endsWith('.json')).sort().map((file) => readFileIfExists(join(folder, file))));
  return texts.flatMap((text) => (text === null ? [] : [JSON.parse(text) as LabProcess]));
}

function processFile(id: string, role: string): string {
  if (!/^[a-z0-9.-]{1,80}$/.test(role)) throw new TypeError(`not a role: ${role}`);
  return join(labFolder(id), 'processes', `${role}.json`);
}
