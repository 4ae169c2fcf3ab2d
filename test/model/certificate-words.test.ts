import { describe, expect, it } from 'vitest';
import { certificateReasons, certificateSentence, type PlanCertificate } from '../../src/model/index.ts';

describe('a certificate in words', () => {
  it.each<[string, Pick<PlanCertificate, 'wanted' | 'worth' | 'bound' | 'provenGapPct'>, string]>([
    ['nothing is missing', { wanted: 100, worth: 100, bound: 100, provenGapPct: 0 }, 'all that is wanted is carried within the limits'],
    ['no plan can do better', { wanted: 100, worth: 80, bound: 80, provenGapPct: 0 }, 'of what is wanted, weighed by importance, 80 % is carried within the limits; no plan whatever carries more'],
    ['a plan might do better', { wanted: 200, worth: 186, bound: 186.06, provenGapPct: 0.0322 }, 'of what is wanted, weighed by importance, 93 % is carried within the limits; no plan whatever carries more than 93.03 %: this one is within 0.04 % of the best possible'],
    ['nothing can be carried', { wanted: 100, worth: 0, bound: 0, provenGapPct: 0 }, 'of what is wanted, weighed by importance, 0 % is carried within the limits; no plan whatever carries more'],
  ])('says when %s', (_, certificate, sentence) => {
    expect(certificateSentence({ ...certificate, why: [], short: [] })).toBe(sentence);
  });

  it('names how much each reason costs, where that is known', () => {
    const why = [{ reason: 'gw holds 3 of 3 tunnels', mbps: 12 }, { reason: '2 changes are vetoed by people', mbps: null }];
    expect(certificateReasons({ wanted: 1, worth: 0, bound: 1, provenGapPct: 100, why, short: [] })).toEqual(['12 Mbit/s: gw holds 3 of 3 tunnels', '2 changes are vetoed by people']);
  });
});
