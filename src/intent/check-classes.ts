import { parseRatio, roundTo, type Finding } from '../base/index.ts';
import { finding } from './check-schema.ts';
import { textAt, type Outline } from './outline.ts';

type Documents = Outline['documents'];

/** What shares ask for together, and classes that could not be told any more once their packets are rewritten. */
export function checkClasses(outline: Outline): Finding[] {
  const classes = outline.documents.filter((document) => document.kind === 'TrafficClass');
  const shares = classes.map((document) => ({ document, ratio: parseRatio(textAt(document, '/share')?.text ?? '0%') ?? 0 }));
  const total = shares.reduce((sum, { ratio }) => sum + ratio, 0);
  const most = shares.reduce((left, right) => (right.ratio > left.ratio ? right : left), shares[0] ?? { document: null, ratio: 0 });
  const tooMuch = total > 1 + 1e-9 && most.document ? [finding(most.document.source, '/share', 'INTENT_INVALID', `the shares of all traffic classes sum to ${roundTo(total * 100, 2)} %`, 'lower shares until they sum to 100% at most')] : [];
  return [...tooMuch, ...classes.flatMap((document) => [...checkRewriting(document, classes), ...checkLocal(document), ...checkNames(document)])];
}

/** The far gateway and relays tell a class by what arrives. */
function checkRewriting(document: Documents[number], classes: Documents): Finding[] {
  const { dscp, priority } = document.value as { dscp?: unknown; priority?: unknown };
  if (typeof dscp !== 'number') return [];
  const isLost = codePoints(document).some((matched) => matched.length > 0 && !matched.includes(dscp));
  const lost = isLost ? [finding(document.source, '/dscp', 'INTENT_INVALID', `the class is told by DSCP and rewritten to ${dscp}, which its match does not have: relays and the far gateway would not know it`, 'add the code point to its match, or write keep')] : [];
  const taker = classes.find((other) => other !== document && Number(other.value['priority']) < Number(priority) && codePoints(other).some((matched) => matched.includes(dscp)));
  const taken = taker ? [finding(document.source, '/dscp', 'INTENT_INVALID', `packets rewritten to ${dscp} would be taken for class "${textAt(taker, '/name')?.text ?? '?'}" by relays and the far gateway`, 'write a code point that no class before it matches')] : [];
  return [...lost, ...taken];
}

/** Of each match; [] for what has another shape, which the schema tells. */
function codePoints({ value }: Documents[number]): number[][] {
  const matches: unknown = value['match'];
  if (!Array.isArray(matches)) return [];
  return matches.map((match: unknown) => {
    const dscp = match !== null && typeof match === 'object' && 'dscp' in match ? match.dscp : [];
    return Array.isArray(dscp) ? dscp.filter((one) => typeof one === 'number') : [];
  });
}

/** What only the first gateway knows: the far one has to know what is sent twice. */
const LOCAL_MATCHES = [
  { key: 'fwmark', what: 'a mark, which the far gateway does not see' },
  { key: 'names', what: 'host names, which the far gateway does not know' },
];

function checkLocal({ source, value }: Documents[number]): Finding[] {
  const matches: unknown = value['match'];
  if (value['protection'] !== 'duplicate' || !Array.isArray(matches)) return [];
  return matches.flatMap((match: unknown, index) => {
    const found = LOCAL_MATCHES.filter(({ key }) => match !== null && typeof match === 'object' && hasContent((match as Record<string, unknown>)[key]));
    return found.map(({ key, what }) => finding(source, `/match/${index}/${key}`, 'INTENT_INVALID', `a class that is sent twice is told by ${what}`, 'match by ports, prefixes or DSCP, or write protection: backup'));
  });
}

function hasContent(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined;
}

const NAMES_MAX = 64;

/** All matches of a class together, so that a gateway's rules and sets stay few. */
function checkNames({ source, value }: Documents[number]): Finding[] {
  const matches: unknown = value['match'];
  if (!Array.isArray(matches)) return [];
  const counts = matches.map((match: unknown) => {
    const names = match !== null && typeof match === 'object' && 'names' in match ? match.names : [];
    return Array.isArray(names) ? names.length : 0;
  });
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total <= NAMES_MAX) return [];
  return [finding(source, `/match/${counts.findLastIndex((count) => count > 0)}/names`, 'INTENT_INVALID', `the class has ${total} host names`, `write at most ${NAMES_MAX}; *.example.org means every name below example.org`)];
}
