import type { LiveTrailers } from './node-config.ts';

const COMMIT = /^(?:[0-9a-f]{40}|none)$/;
const DIGEST = /^(?:sha256:[0-9a-f]{64}|none)$/;
const DECISIONS: readonly LiveTrailers['decision'][] = ['auto', 'reviewed', 'reverted', 'override', 'emergency'];
const CAUSE_LENGTH_MAX = 200;
const MESSAGE_LENGTH_MAX = 65_536;

/** The trailers, their order and what each may hold: one line each, all of them, nothing between. */
const FIELDS = [
  { key: 'Foremesh-Generation', name: 'generation', isValid: (text: string) => /^[1-9][0-9]{0,14}$/.test(text) },
  { key: 'Foremesh-Parent', name: 'parent', isValid: (text: string) => COMMIT.test(text) },
  { key: 'Foremesh-Intent', name: 'intent', isValid: (text: string) => COMMIT.test(text) },
  { key: 'Foremesh-Policy', name: 'policy', isValid: (text: string) => DIGEST.test(text) },
  { key: 'Foremesh-Forecast', name: 'forecast', isValid: (text: string) => DIGEST.test(text) },
  { key: 'Foremesh-Telemetry', name: 'telemetry', isValid: (text: string) => DIGEST.test(text) },
  { key: 'Foremesh-Decision', name: 'decision', isValid: (text: string) => (DECISIONS as readonly string[]).includes(text) },
  { key: 'Foremesh-Cause', name: 'cause', isValid: (text: string) => text.length > 0 && text === oneLine(text) },
] as const;

/**
 * The last paragraph of a commit message on mesh/live, without a line break at its end. The cause is made one line of at
 * most 200 characters without control or direction characters, so that it can end no line and start no other trailer.
 * @throws TypeError when another field is not of its form: generation 1 … 10^15−1; parent, intent 40 hex or `none`;
 *   policy, forecast, telemetry `sha256:` + 64 hex or `none`
 */
export function formatTrailers(trailers: LiveTrailers): string {
  return FIELDS.map(({ key, name, isValid }) => {
    const text = name === 'cause' ? oneLine(trailers.cause) || 'none given' : String(trailers[name]);
    if (!isValid(text)) throw new TypeError(`${key} cannot be ${JSON.stringify(text.slice(0, 80))}`);
    return `${key}: ${text}`;
  }).join('\n');
}

/**
 * The trailers of a commit message's body (without its subject), or null when it has none or they are not exactly as
 * `formatTrailers` writes them. Only the last paragraph counts and it must be those eight lines and no other, so text of
 * people above it can forge nothing, and one set of trailers has one spelling.
 */
export function parseTrailers(body: string): LiveTrailers | null {
  if (body.length > MESSAGE_LENGTH_MAX) return null;
  const lines = (body.replace(/\n+$/, '').split(/\n\n+/).at(-1) ?? '').split('\n');
  if (lines.length !== FIELDS.length) return null;
  const values = new Map<string, string>();
  for (const [index, field] of FIELDS.entries()) {
    const line = lines[index]!;
    const text = line.slice(field.key.length + 2);
    if (!line.startsWith(`${field.key}: `) || !field.isValid(text)) return null;
    values.set(field.name, text);
  }
  const text = (name: string): string => values.get(name)!;
  return {
    generation: Number(text('generation')),
    parent: text('parent'),
    intent: text('intent'),
    policy: text('policy'),
    forecast: text('forecast'),
    telemetry: text('telemetry'),
    decision: text('decision') as LiveTrailers['decision'],
    cause: text('cause'),
  };
}

/** A commit message without its first paragraph, the subject. */
export function messageBody(message: string): string {
  const end = message.indexOf('\n\n');
  return end < 0 ? '' : message.slice(end + 2);
}

function oneLine(text: string): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu, ' ').replace(/\s+/g, ' ').trim();
  return Array.from(plain).slice(0, CAUSE_LENGTH_MAX).join('').trim();
}
