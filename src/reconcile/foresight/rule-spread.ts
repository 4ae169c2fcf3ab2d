import type { Figures } from './replay.ts';

/** Of many settings of the rule: the least, the middle and the most. */
export interface Range {
  min: number;
  median: number;
  max: number;
}

/** What a policy removes of the way to the oracle, by which of several settings of the rule it is held against; all are replayed whole. */
export interface RuleSpread {
  settings: number;
  unserved: Range | null;
  slaMinutes: Range | null;
  /** The policy's, relative to the rules'. */
  tunnelHours: Range | null;
  tunnelChanges: Range | null;
}

type Taken = Pick<Figures, 'unservedMbit' | 'slaMinutes' | 'tunnelHours' | 'tunnelChanges'>;

/** Null where no setting can be compared: nothing is left to remove, or nothing was taken. */
export function spreadOver(rules: readonly Taken[], own: Taken, oracle: Taken): RuleSpread {
  const range = (of: (rule: Taken) => number): Range | null => {
    const values = rules.map(of).filter(Number.isFinite).sort((one, other) => one - other);
    return values.length === 0 ? null : { min: values[0]!, median: values[values.length >> 1]!, max: values[values.length - 1]! };
  };
  const removed = (key: 'unservedMbit' | 'slaMinutes') => (rule: Taken) => (rule[key] > oracle[key] ? (rule[key] - own[key]) / (rule[key] - oracle[key]) : Number.NaN);
  return {
    settings: rules.length,
    unserved: range(removed('unservedMbit')),
    slaMinutes: range(removed('slaMinutes')),
    tunnelHours: range((rule) => own.tunnelHours / rule.tunnelHours),
    tunnelChanges: range((rule) => own.tunnelChanges / rule.tunnelChanges),
  };
}
