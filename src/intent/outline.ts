import type { KindDocument } from './check-schema.ts';
import type { IntentKind } from './schema.ts';

/** A text in a document and where it stands. */
export interface Spot {
  text: string;
  document: KindDocument;
  pointer: string;
}

export interface OutlineUplink {
  /** `node/uplink`; its pointer is the uplink's name. */
  id: Spot;
  address: Spot | null;
  /** Behind NAT, with what peers reach it by, when that is known. */
  nat: { publicAddress: Spot | null } | null;
}

export interface OutlineNode {
  name: Spot | null;
  role: string;
  lanAddress: Spot | null;
  lanAddress6: Spot | null;
  uplinks: OutlineUplink[];
}

export interface OutlineSite {
  name: Spot;
  prefixes: Spot[];
  nodes: OutlineNode[];
}

/**
 * What the documents name and what they refer to, read leniently: a document that fails its schema in one field still
 * declares its name, so that one mistake does not show up as ten, and its other fields are still checked.
 */
export interface Outline {
  named: Map<IntentKind, Spot[]>;
  sites: OutlineSite[];
  documents: KindDocument[];
}

export function outlineOf(documents: readonly KindDocument[]): Outline {
  const named = new Map<IntentKind, Spot[]>();
  const sites: OutlineSite[] = [];
  for (const document of documents) {
    const name = textAt(document, '/name');
    if (name === null) continue;
    named.set(document.kind, [...(named.get(document.kind) ?? []), name]);
    if (document.kind === 'Site') sites.push({ name, prefixes: textsAt(document, '/prefixes'), nodes: nodesOf(document) });
  }
  return { named, sites, documents: [...documents] };
}

/** The text at a pointer; null when there is none, or when it was refused as a secret, so that no later message repeats it. */
export function textAt(document: KindDocument, pointer: string): Spot | null {
  const value = valueAt(document, pointer);
  return typeof value === 'string' && !document.source.secrets.has(pointer) ? { text: value, document, pointer } : null;
}

/** The texts of the list at a pointer; other entries are left out, they have their own finding. */
export function textsAt(document: KindDocument, pointer: string): Spot[] {
  return indexesAt(document, pointer).flatMap((index) => textAt(document, `${pointer}/${index}`) ?? []);
}

function nodesOf(document: KindDocument): OutlineNode[] {
  return indexesAt(document, '/nodes').map((index) => {
    const at = `/nodes/${index}`;
    const name = textAt(document, `${at}/name`);
    const uplinks = indexesAt(document, `${at}/uplinks`).flatMap((uplink): OutlineUplink[] => {
      const spot = textAt(document, `${at}/uplinks/${uplink}/name`);
      return spot && name ? [{ id: { ...spot, text: `${name.text}/${spot.text}` }, address: textAt(document, `${at}/uplinks/${uplink}/address`), nat: natAt(document, `${at}/uplinks/${uplink}/nat`) }] : [];
    });
    return { name, role: textAt(document, `${at}/role`)?.text ?? 'active', lanAddress: textAt(document, `${at}/lan/address`), lanAddress6: textAt(document, `${at}/lan/address6`), uplinks };
  });
}

function natAt(document: KindDocument, pointer: string): OutlineUplink['nat'] {
  return valueAt(document, pointer) === undefined ? null : { publicAddress: textAt(document, `${pointer}/publicAddress`) };
}

function indexesAt(document: KindDocument, pointer: string): number[] {
  const value = valueAt(document, pointer);
  return Array.isArray(value) ? value.map((_, index) => index) : [];
}

/** Pointers here are made of our own field names and indexes, so nothing needs unescaping. */
function valueAt(document: KindDocument, pointer: string): unknown {
  let value: unknown = document.value;
  for (const step of pointer.split('/').slice(1)) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}
