import type { SourceLocation } from '../base/index.ts';
import { connectionFor, type Intent, type SiteId } from '../model/index.ts';
import { locationOf, type KindDocument } from './check-schema.ts';
import { outlineOf } from './outline.ts';

interface Home {
  document: KindDocument;
  /** Pointer of the object inside its document. */
  pointer: string;
}

/** Words of the model that YAML says otherwise. */
const YAML_WORDS: Record<string, string> = { usdPerGb: 'egressCost', vetoMs: 'vetoFor', id: 'name', minMbps: 'min', maxMbps: 'max' };

/**
 * Makes `locate`. Objects are the documents by kind and name, and besides: `Node` (`berlin-gw1`), `Uplink`
 * (`berlin-gw1/fibre`), `Pair` (`berlin>paris`: the connection that governs it), `Path` (its first uplink).
 * Fields are paths in the words of the YAML or of the model: `esp`, `esp[0].encryption`, `ikeRekeyMs`. A field that
 * is not written out gives the place of what holds it.
 */
export function createLocator(documents: readonly KindDocument[], intent: Intent): (object: { kind: string; name: string; field?: string | undefined }) => SourceLocation | null {
  const homes = new Map<string, Home>();
  const outline = outlineOf(documents);
  for (const [kind, spots] of outline.named) for (const spot of spots) homes.set(`${kind} ${spot.text}`, { document: spot.document, pointer: '' });
  for (const node of outline.sites.flatMap((site) => site.nodes)) {
    if (node.name) homes.set(`Node ${node.name.text}`, { document: node.name.document, pointer: parentOf(node.name.pointer) });
    for (const { id } of node.uplinks) homes.set(`Uplink ${id.text}`, { document: id.document, pointer: parentOf(id.pointer) });
  }
  const homeOf = (kind: string, name: string): Home | undefined => {
    if (kind === 'Pair') {
      const [one = '', other = ''] = name.split('>');
      const connection = connectionFor(intent, one as SiteId, other as SiteId);
      return connection ? homes.get(`Connection ${connection.name}`) : undefined;
    }
    if (kind === 'Mesh') return homes.get(`Mesh ${intent.mesh.name}`); // there is one, whatever it is called
    if (kind === 'Path') return homes.get(`Uplink ${name.split('~')[0]}`);
    return homes.get(`${kind} ${name}`);
  };
  return ({ kind, name, field }) => {
    const home = homeOf(kind, name);
    if (!home) return null;
    const steps = stepsOf(field ?? '');
    for (let length = steps.length; length > 0; length--) {
      const pointer = deepen(home, steps.slice(0, length));
      if (pointer !== null) return locationOf(home.document.source, pointer);
    }
    const named = `${home.pointer}/name`;
    return locationOf(home.document.source, home.document.source.places.has(named) ? named : home.pointer);
  };
}

function deepen(home: Home, steps: readonly string[]): string | null {
  let pointer = home.pointer;
  for (const step of steps) {
    const words = [step, YAML_WORDS[step], step.replace(/(?:Ms|Mbps|Ratio)$/, '')];
    const next = words.map((word) => `${pointer}/${word}`).find((candidate) => home.document.source.places.has(candidate));
    if (next === undefined) return null;
    pointer = next;
  }
  return pointer;
}

/** `esp[0].encryption`, `esp.0.encryption` and `/esp/0/encryption` are the same. */
function stepsOf(field: string): string[] {
  return field.split(/[.[\]/]+/).filter((step) => step !== '');
}

function parentOf(pointer: string): string {
  return pointer.slice(0, pointer.lastIndexOf('/'));
}
