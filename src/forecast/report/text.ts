import type { PairGroup } from '../../model/index.ts';
import { roundTo } from '../../base/index.ts';

/** `12.3 %`, with more digits where there would be none. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return '–';
  const value = 100 * share;
  const digits = Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 0.1 || value === 0 ? 2 : 3;
  return `${roundTo(value, digits)} %`;
}

/** Three digits that count. */
export function shownNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  return size >= 1e6 ? value.toExponential(2) : String(roundTo(value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 4));
}

/** Kinds of pairs in words. */
export const GROUP_WORDS: Record<PairGroup, string> = { heavy: 'heaviest tenth', middle: 'middle', sparse: 'mostly silent group', new: 'group with less than a day of past' };
