import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

/** What an agent and the engine may be fed by a broken or hostile neighbour, what becomes of it, and the test that shows it. */
const BAD_INPUTS: readonly (readonly [input: string, becomes: string, file: string, title: string])[] = [
  // samples of an agent
  ['−1 or 10^20 bytes', 'left out and counted', 'telemetry/bad-input.test.ts', "['10^20 bytes in a minute'"],
  ['NaN in place of a figure', 'left out, the rest of its batch counts', 'agent/report/refused-samples.test.ts', 'is stored without them, and not sent again'],
  ['a frame that is no JSON', 'refused, nothing changes', 'telemetry/bad-input.test.ts', 'are refused with their frame when that is no JSON'],
  ['a counter that began again', 'all of it counts as new', 'agent/report/reporter.test.ts', 'takes all of a counter for new when it began again'],
  ['a time a year ahead', 'left out and counted', 'telemetry/bad-input.test.ts', "['a clock a year ahead'"],
  ['another node’s name', 'left out: the certificate says who speaks', 'channel/hub.test.ts', 'drops samples in another node’s name and keeps the rest'],
  ['a batch sent twice', 'counts once', 'telemetry/bad-input.test.ts', 'counts once, also when its samples were changed meanwhile'],
  ['ten times the rate', 'read slowly, nothing lost', 'channel/listen.test.ts', 'reads a flooding agent slowly, loses nothing of it'],
  ['all round trips 0', 'ignored', 'telemetry/bad-input.test.ts', 'leave a path unknown when every round trip is 0'],
  ['two ends that contradict each other', 'the worse is believed', 'telemetry/bad-input.test.ts', 'have the worse one believed'],
  ['a billion times the traffic', 'cut to what the other ends confirm, not learned from', 'reconcile/trust.test.ts', 'is what the others confirm of a gateway that reports a billion times as much, from its first window on'],
  ['one liar of five, two of ten', 'gain at most 5 points of demand', 'telemetry/trust/trust.test.ts', 'lets one liar of five or two of ten have no more than 5 points of the traffic than they have, whatever they say'],
  ['1 % more every day', 'found, and not learned from', 'telemetry/trust/trust.test.ts', 'stops learning from its site before it has moved by a seventh'],
  ['a round trip that light could not make', 'counts as what light needs, named', 'reconcile/trust.test.ts', 'names a round trip that light could not make, and does not plan by it'],
  // configs
  ['one bit flipped', 'refused', 'agent/sync/verify.test.ts', 'is refused with any one bit of any part flipped'],
  ['bytes changed on the way', 'refused, state untouched', 'agent/agent.test.ts', 'refuses one whose bytes were changed'],
  ['another agent’s config', 'refused, state untouched, alarm', 'agent/agent.test.ts', "title: 'a config of another node'"],
  ['an older generation', 'refused, state untouched, alarm', 'agent/agent.test.ts', "title: 'an older generation'"],
  ['generation −1', 'refused, state untouched, alarm', 'agent/agent.test.ts', "title: 'a generation below zero'"],
  ['the same generation with another digest', 'refused, state untouched, alarm', 'agent/agent.test.ts', "title: 'another commit of the same generation'"],
  ['a signature of a key whose time is over', 'refused (plans themselves have no end)', 'agent/sync/verify.test.ts', 'is refused, and one whose time lasts is not'],
  ['a weak cipher with a valid signature', 'refused by the node’s floor', 'agent/agent.test.ts', "title: 'a weak cipher'"],
  ['a gone management path with a valid signature', 'refused by the node’s floor', 'agent/agent.test.ts', "title: 'a management path that is gone'"],
  ['a state file cut short', 'the second copy, never generation 0', 'agent/sync/generation.test.ts', 'never falls, over any run of offers, forgeries, crashes, torn saves and single damaged files'],
  ['both state files damaged', 'never generation 0', 'agent/sync/generation.test.ts', 'does not start at 0 again when both copies cannot be verified any more'],
  // the IKE daemon's socket
  ['length 0xffffffff', 'refused before anything is held', 'agent/vici/codec.test.ts', 'with an announced length of %d are refused before anything is held for them'],
  ['an unknown element type', 'refused', 'agent/vici/codec.test.ts', "['an unknown element'"],
  ['a section without an end', 'refused', 'agent/vici/codec.test.ts', "['a section without an end'"],
  ['a socket closed midway', 'an error, and connected anew', 'agent/vici/client.test.ts', 'fails what waits when the socket closes in the middle of a packet'],
  ['8 MB of list-sas', 'bounded memory', 'agent/vici/client.test.ts', 'streams 8 MB of events with few of them in memory'],
  // nftables
  ['a set element twice, or one inside another', 'written once', 'agent/dataplane/ruleset.test.ts', 'names no prefix twice in a set, nor one inside another'],
  ['sites that share addresses (an interval overlap)', 'refused before anything is applied', 'agent/agent.test.ts', "title: 'two sites that share addresses'"],
  ['a foreign flush', 'put back within 5 s, a drift event', 'agent/agent.test.ts', 'set right within 5 s what somebody else changed, say so once, and lose nothing meanwhile'],
  ['a foreign flush, in a real kernel', 'put back within a second', 'lab/adapters/adapters.test.ts', 'are told within a second when somebody takes rules, routes, neighbours or settings'],
];

describe('bad input', () => {
  it.each(BAD_INPUTS)('%s: %s, as %s shows', (_input, _becomes, file, title) => {
    expect(readFileSync(join(resolve(import.meta.dirname), file), 'utf8')).toContain(title);
  });
});
