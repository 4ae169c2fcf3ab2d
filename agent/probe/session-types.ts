import type { Clock } from '../../src/base/index.ts';
import type { ClassId, PathState, ProbeSettings } from '../../src/model/index.ts';
import type { FallMemory } from './damping.ts';
import type { SlaLimits } from './sla.ts';
import type { PathWindow } from './window.ts';

/** How a path is probed, and what the classes that may use it need. */
export interface PathSettings extends ProbeSettings {
  classes?: readonly SlaLimits[];
}

export interface ProbeSessionDeps {
  settings: PathSettings;
  clock: Clock;
  /** Names this life of the session to the peer; another number each time. */
  session: number;
  /** The path was called down not long ago, by a session before this one: it has to stand the hold-down first. */
  fallen?: FallMemory;
  send: (packet: Uint8Array) => void;
  /** Packets that went into and came out of the tunnel's interface so far; null when nobody counts. */
  traffic?: () => { sent: number; received: number } | null;
  /** Called from the timer or packet that decided, before anything else happens; must not throw or wait. */
  onChange: (from: PathState, to: PathState) => void;
  /** The peer's wish for new keys or word on its LAN came or went, or other classes than before are served badly. */
  onWish?: () => void;
  /** A regular probe was missed of a path that worked until now. */
  onSuspect?: () => void;
  /** What others waited for is known: a doubted path answered, or one that was about to be up again fell silent. */
  onCertain?: () => void;
  /** Traffic towards the peer was lost, which may be for its size. */
  onTrafficLost?: () => void;
}

/** Our end of the conversation about one tunnel. */
export interface ProbeSession {
  state(): PathState;
  /** A probe went there and back at least once. */
  wasEverUp(): boolean;
  /** Whether the peer points traffic at this tunnel; null when it has not said so lately. */
  peerInUse(): boolean | null;
  setInUse(inUse: boolean): void;
  /** Whether the peer wants the tunnel's keys made anew, and so asks not to use it; false when it has not said so lately. */
  peerRenews(): boolean;
  setRenews(renews: boolean): void;
  /** Whether the peer says that its LAN is dead; false when it has not said so lately. */
  peerLame(): boolean;
  setLame(lame: boolean): void;
  /** Asks at once whether the peer still answers here: another tunnel to it, or one that this is a backup of, fell silent. */
  doubt(): void;
  /** Asked so, and not answered yet: that it was up a moment ago says nothing now. */
  isDoubted(): boolean;
  /** Down, but answering, and up again within `RETURN_MS` if that goes on. */
  isReturning(): boolean;
  /** Classes whose SLA the path does not keep, though it answers. */
  violated(): readonly ClassId[];
  /** Other intervals and limits from the next beat on; the verdict stays. */
  retune(settings: PathSettings): void;
  receive(bytes: Uint8Array): void;
  takeWindow(): PathWindow;
  /** What a session of the same tunnel that comes after this one should know. */
  fallMemory(): FallMemory;
  /** Tells the peer not to judge our silence for `pauseMs`: this agent stops, its forwarding does not. */
  pausePeer(pauseMs: number): void;
  close(): void;
}
