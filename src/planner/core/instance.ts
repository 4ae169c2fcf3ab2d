import { Ajv, type ErrorObject } from 'ajv';
import { createTextPositions, ForemeshError, messageOf, placeInJson, type Finding, type SourceLocation } from '../../base/index.ts';

/**
 * A planning problem as a file (format `te-instance/1`, docs/planning.md). Integers index the arrays. Units: Mbit/s, ms
 * round trip, per cent of loss, USD per GB (1 GB = 8000 Mbit).
 */
export interface Instance {
  format: 'te-instance/1';
  /** Added to the round trip at a relay. */
  relayMs: number;
  /** `priority` 0 goes first; `backup`: wants a second way that fails with none of the first. */
  classes: { id: string; priority: number; maxRttMs: number; maxLossPct: number; minSecurity: number; backup: boolean }[];
  sites: { id: string; region: string; relay: boolean }[];
  /** Those of a site add up; `standby` ones count for nothing. `cryptoMbps` bounds all traffic that is en- or decrypted. */
  gateways: { site: number; role: 'active' | 'standby'; cryptoMbps: number; maxTunnels: number; security: number }[];
  /** `usdPerGb` is paid by the sender; `srlg` are the risk groups. */
  uplinks: { site: number; provider: string; upMbps: number; downMbps: number; usdPerGb: number; srlg: string[] }[];
  /** [uplink, uplink, rttMs, lossPct, capMbps or 0 for none]: a tunnel that could be; both directions share the cap. */
  links: [number, number, number, number, number][];
  /** `regionLock`: every site of the way lies there; `avoid`: providers. */
  demands: { src: number; dst: number; cls: number; p50: number; p95: number; regionLock?: string; avoid?: string[] }[];
}

const count = { type: 'integer', minimum: 0 };
const amount = { type: 'number', minimum: 0 };
const text = { type: 'string' };

const SCHEMA = object({
  format: { const: 'te-instance/1' },
  relayMs: amount,
  classes: list(object({ id: text, priority: count, maxRttMs: amount, maxLossPct: amount, minSecurity: count, backup: { type: 'boolean' } })),
  sites: list(object({ id: text, region: text, relay: { type: 'boolean' } })),
  gateways: list(object({ site: count, role: { enum: ['active', 'standby'] }, cryptoMbps: amount, maxTunnels: count, security: count })),
  uplinks: list(object({ site: count, provider: text, upMbps: amount, downMbps: amount, usdPerGb: amount, srlg: list(text) })),
  links: list({ type: 'array', items: [count, count, amount, { ...amount, maximum: 100 }, amount], minItems: 5, maxItems: 5 }),
  demands: list(object({ src: count, dst: count, cls: count, p50: amount, p95: amount, regionLock: text, avoid: list(text) }, ['regionLock', 'avoid'])),
});

const validate = new Ajv({ strict: true }).compile<Instance>(SCHEMA);

/**
 * Reads an instance from a file's text. NaN and Infinity, which some programs write and JSON does not have, are told
 * with their place as any other value that is no number.
 * @param file  for the words of a refusal
 * @throws ForemeshError INSTANCE_INVALID with the place of what is wrong, as line and column and as a JSON pointer
 */
export function parseInstance(text: string, file: string): Instance {
  const parsed = parseJson(text);
  const value = 'value' in parsed ? parsed : parseJson(text.replace(JSON_STRING_OR_NAN, (token) => (token.startsWith('"') ? token : 'null')));
  const fault = 'value' in value ? faultOf(value.value) : null;
  if (fault !== null) throw invalid(fault.what, file, placeInJson(file, text, fault.pointer));
  if ('value' in parsed) return parsed.value as Instance;
  const offset = /at position ([0-9]+)/.exec(parsed.fault)?.[1];
  throw invalid(`it is no JSON: ${parsed.fault}`, file, offset === undefined ? null : createTextPositions(file, text).locationAt(Number(offset)));
}

/**
 * What is odd in an instance that was read, though it can be planned: demands whose median is above their P95. It counts as no more than that.
 * @param text what the instance was read from
 * @returns one finding, which names the first of them and says how many there are
 */
export function doubtsAbout({ demands }: Instance, text: string, file: string): Finding[] {
  const odd = [...demands.keys()].filter((index) => demands[index]!.p50 > demands[index]!.p95);
  if (odd.length === 0) return [];
  const { p50, p95 } = demands[odd[0]!]!;
  const more = odd.length > 1 ? `, and so in ${odd.length - 1} more of ${demands.length} demands` : '';
  const pointer = `/demands/${odd[0]!}/p50`;
  return [{ code: 'INSTANCE_INVALID', severity: 'warning', what: `${pointer} is ${p50}, above p95, which is ${p95}${more}: such a median counts as p95`, where: placeInJson(file, text, pointer), fix: 'p50 is what is wanted half of the time, p95 what is seldom exceeded; correct whichever is wrong' }];
}

const JSON_STRING_OR_NAN = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity|nan|inf)\b/g;

function parseJson(text: string): { value: unknown } | { fault: string } {
  try {
    return { value: JSON.parse(text) };
  } catch (cause) {
    return { fault: messageOf(cause) }; // the caller says in which file
  }
}

/**
 * Takes a parsed JSON file for an instance, once every number and every reference holds. Further keys are left alone.
 * @throws ForemeshError INSTANCE_INVALID with the place of the first thing that is wrong, as a JSON pointer
 */
export function readInstance(value: unknown, file = 'this'): Instance {
  const fault = faultOf(value);
  if (fault !== null) throw invalid(fault.what, file, null);
  return value as Instance;
}

/** The first thing that is wrong; its pointer stands in the words as well. */
function faultOf(value: unknown): { pointer: string; what: string } | null {
  if (!validate(value)) {
    const errors = validate.errors ?? [];
    return { pointer: errors[0]?.instancePath ?? '', what: errors.map(describe).join('; ') };
  }
  const what = brokenReference(value);
  return what === null ? null : { pointer: what.slice(0, what.indexOf(' ')), what };
}

/** In words that begin with a pointer. */
function brokenReference({ classes, sites, gateways, uplinks, links, demands }: Instance): string | null {
  const beyond = (place: string, index: number, length: number): string | null => (index < length ? null : `${place} is ${index}, but there are ${length}`);
  for (const [index, { site }] of gateways.entries()) {
    const wrong = beyond(`/gateways/${index}/site`, site, sites.length);
    if (wrong !== null) return wrong;
  }
  for (const [index, { site }] of uplinks.entries()) {
    const wrong = beyond(`/uplinks/${index}/site`, site, sites.length);
    if (wrong !== null) return wrong;
  }
  for (const [index, [a, b]] of links.entries()) {
    const wrong = beyond(`/links/${index}/0`, a, uplinks.length) ?? beyond(`/links/${index}/1`, b, uplinks.length);
    if (wrong !== null) return wrong;
    if (uplinks[a]!.site === uplinks[b]!.site) return `/links/${index} joins two uplinks of one site`;
  }
  for (const [index, { src, dst, cls }] of demands.entries()) {
    const wrong = beyond(`/demands/${index}/src`, src, sites.length) ?? beyond(`/demands/${index}/dst`, dst, sites.length) ?? beyond(`/demands/${index}/cls`, cls, classes.length);
    if (wrong !== null) return wrong;
    if (src === dst) return `/demands/${index} leads from a site to itself`;
  }
  return null;
}

function describe({ instancePath, keyword, message, params }: ErrorObject): string {
  const wanted = keyword === 'const' ? `must be ${JSON.stringify(params['allowedValue'])}` : (message ?? 'is not valid');
  return `${instancePath || 'the document'} ${wanted}`;
}

function invalid(what: string, file: string, where: SourceLocation | null): ForemeshError {
  return new ForemeshError('INSTANCE_INVALID', { where, what: `${file} is no te-instance/1: ${what}`, fix: 'correct the named place; docs/planning.md has the format' });
}

function object(properties: Record<string, object>, optional: readonly string[] = []): object {
  return { type: 'object', required: Object.keys(properties).filter((name) => !optional.includes(name)), properties };
}

function list(items: object): object {
  return { type: 'array', items };
}
