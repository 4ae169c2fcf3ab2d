import type { Streams } from '../../../src/lab/bench/streams.ts';
import type { LabWorld } from '../../../src/lab/lab-world.ts';

/** One folder here: README.md tells the story, scenario.ts plays it. All share one mesh of two sites, which each leaves as it found it. */
export interface Scenario {
  /** What is done while two streams of 1000 packets a second run between the hosts. */
  act(world: LabWorld): Promise<void>;
  /** Of the streams, at their receivers; null where the story cuts them on purpose. */
  lostMax: number | null;
  /** What must hold when every tunnel is up again; throws otherwise. */
  expectations(world: LabWorld, streams: Streams): Promise<void>;
  /** Undoes what `act` left, also after a failure. */
  tearDown?(world: LabWorld): Promise<void>;
}
