import { ForemeshError } from '../../base/index.ts';

export interface Place {
  lat: number;
  lon: number;
}

export interface Topology {
  nodes: Map<string, Place>;
}

/** Of a round trip: what every way has, and what each kilometre of great circle adds (median measured between clouds). */
const ACCESS_MS = 3;
const MS_PER_KM = 0.0179;
const EARTH_DIAMETER_KM = 12_742;

/**
 * Takes the places of a topology file, `{ nodes: [{ name, lat, lon }] }`; `id` stands for an absent name.
 * @throws ForemeshError FORESIGHT_TOPOLOGY_INVALID with the place of what is wrong
 */
export function readTopology(value: unknown, file: string): Topology {
  const list = typeof value === 'object' && value !== null && 'nodes' in value ? value.nodes : undefined;
  if (!Array.isArray(list) || list.length === 0) throw invalid(file, '', 'it has no list of nodes');
  const nodes = new Map<string, Place>();
  for (const [index, node] of list.entries()) {
    const { name, id, lat, lon } = (typeof node === 'object' && node !== null ? node : {}) as Record<string, unknown>;
    const known = name ?? id;
    if (typeof known !== 'string' && typeof known !== 'number') throw invalid(file, `/nodes/${index}`, 'it has neither name nor id');
    if (typeof lat !== 'number' || typeof lon !== 'number' || !(Math.abs(lat) <= 90) || !(Math.abs(lon) <= 360)) throw invalid(file, `/nodes/${index}`, `${known} has no lat and lon in degrees`);
    if (nodes.has(String(known))) throw invalid(file, `/nodes/${index}`, `${known} is there twice`);
    nodes.set(String(known), { lat, lon });
  }
  return { nodes };
}

/** From the distance as the crow flies. */
export function roundTripMs(one: Place, other: Place): number {
  const [a, b, c, d] = [one.lat, one.lon, other.lat, other.lon].map((degrees) => (degrees * Math.PI) / 180) as [number, number, number, number];
  const half = Math.sin((c - a) / 2) ** 2 + Math.cos(a) * Math.cos(c) * Math.sin((d - b) / 2) ** 2;
  return ACCESS_MS + MS_PER_KM * EARTH_DIAMETER_KM * Math.asin(Math.sqrt(Math.min(1, half)));
}

function invalid(file: string, pointer: string, what: string): ForemeshError {
  return new ForemeshError('FORESIGHT_TOPOLOGY_INVALID', { what: `${file}${pointer}: ${what}`, fix: 'give a JSON file of { "nodes": [{ "name": "berlin", "lat": 52.5, "lon": 13.4 }] }, named as the columns of the traffic are' });
}
