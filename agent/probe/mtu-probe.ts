import type { Cancel, Clock } from '../../src/base/index.ts';
import { createMtuSearch, type MtuBounds } from './mtu-search.ts';
import { decodeSized, encodeSized, SIZED_PACKET_BYTES_MIN, type SizedPacket } from './sized-packet.ts';

/** How one tunnel's path MTU is measured. */
export interface MtuSettings extends MtuBounds {
  /** UDP payload of a probe that fills the path as a packet of n bytes through the tunnel does: n and so much more. */
  payloadBytes: number;
}

export interface MtuProbeDeps {
  settings: MtuSettings;
  clock: Clock;
  /** Names this life to the peer; another number each time. */
  session: number;
  send: (packet: Uint8Array) => void;
  /** Another size is known to pass. */
  onChange: () => void;
}

/** Measures the path MTU of one tunnel from this end, and answers the peer's asking. */
export interface MtuProbe {
  /** The greatest packet that the tunnel carries; null before it is known, or when the peer does not answer. */
  mtuBytes(): number | null;
  /** True when the packet was of this kind. */
  receive(packet: Uint8Array): boolean;
  /** Traffic was lost, perhaps for its size: looks at once. */
  suspect(): void;
  retune(settings: MtuSettings): void;
  close(): void;
}

/** The size in use is confirmed this often, ms: traffic does not tell which of its packets were lost. */
const CONFIRM_MS = 5_000;
/** PMTU_RAISE_TIMER of RFC 8899 §5.1.1. */
const RAISE_MS = 600_000;
/** MAX_PROBES there; on a path that loses small packets too it takes more, since three may then be chance. */
const LOSSES_MIN = 3;
/** Small packets sent beside large ones that are remembered, for how lossy the path is. */
const CONTROLS_KEPT = 64;
const TIMEOUT_MIN_MS = 250;
const TIMEOUT_MAX_MS = 2_000;
/** After suspicion has been looked into it is not looked into again for so long, ms. */
const SUSPECT_PAUSE_MS = 1_000;

interface Trial {
  bytes: number;
  sequence: number;
  /** Of the small packet beside it; 0: not sent. */
  control: number;
  sentMs: number;
  isControlBack: boolean;
  isBack: boolean;
}

/**
 * Sends, beside each packet of the size that is tried, a small one: only when the small one comes back and the large one
 * does not is it the size. So a path that is down or a peer that is away says nothing here, and what is lost here says
 * nothing about the path: probes of this kind are counted by nobody else.
 * Two packets in `CONFIRM_MS` while nothing changes. A peer that knows no such packets answers none, and nothing is measured.
 */
export function createMtuProbe(deps: MtuProbeDeps): MtuProbe {
  const { clock } = deps;
  let settings = deps.settings;
  const search = createMtuSearch(settings);
  /** Of the last small packets: whether each came back. */
  const controls: boolean[] = [];
  let sequence = 0;
  let trial: Trial | null = null;
  let slowestMs = 0;
  let silentTrials = 0;
  let raiseAtMs = clock.monotonicMs() + RAISE_MS;
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let isClosed = false;
  // tunnels that came up together are not asked together for ever
  const confirmMs = CONFIRM_MS + (deps.session % 1_000);
  let cancel: Cancel = clock.setTimer(deps.session % 200, begin);

  function begin(): void {
    if (isClosed) return;
    const nowMs = clock.monotonicMs();
    if (nowMs >= raiseAtMs) {
      search.raise();
      raiseAtMs = nowMs + RAISE_MS;
    }
    lookedAtMs = nowMs;
    trial = { bytes: search.candidateBytes(), sequence: ++sequence, control: ++sequence, sentMs: nowMs, isControlBack: false, isBack: false };
    ask(trial.sequence, trial.bytes + settings.payloadBytes);
    ask(trial.control, SIZED_PACKET_BYTES_MIN);
    // what lies in the socket when this thread stood still is read before the second timer
    cancel = clock.setTimer(timeoutMs(), () => {
      cancel = clock.setTimer(1, expire);
    });
  }

  function ask(number: number, bytes: number): void {
    deps.send(encodeSized({ kind: 'ask', session: deps.session, sequence: number }, bytes, clock.now() * 1000));
  }

  function timeoutMs(): number {
    return Math.min(TIMEOUT_MAX_MS, Math.max(TIMEOUT_MIN_MS, 3 * slowestMs + 100));
  }

  function expire(): void {
    if (!trial || isClosed) return;
    const { bytes, isControlBack, isBack } = trial;
    trial = null;
    silentTrials = isControlBack || isBack ? 0 : silentTrials + 1;
    noteControl(isControlBack);
    if (isControlBack && !isBack) change(() => search.lost(bytes, LOSSES_MIN + controls.filter((isThere) => !isThere).length));
    rest();
  }

  function noteControl(isBack: boolean): void {
    if (silentTrials > LOSSES_MIN) return; // the path is down: that says nothing about how lossy it is
    controls.push(isBack);
    if (controls.length > CONTROLS_KEPT) controls.shift();
  }

  /** Until the next trial. */
  function rest(): void {
    const pauseMs = silentTrials > 0 ? Math.min(confirmMs, TIMEOUT_MIN_MS * 2 ** Math.min(silentTrials, 10)) : search.isBusy() ? 0 : Math.min(confirmMs, Math.max(0, raiseAtMs - clock.monotonicMs()));
    cancel = clock.setTimer(pauseMs, begin);
  }

  function change(step: () => void): void {
    const before = search.mtuBytes();
    step();
    if (search.mtuBytes() !== before) deps.onChange();
  }

  function noteAnswer(answer: SizedPacket): void {
    if (!trial || answer.session !== deps.session) return;
    if (answer.sequence === trial.control) trial.isControlBack = true;
    if (answer.sequence !== trial.sequence) return;
    const { bytes } = trial;
    slowestMs = Math.max(clock.monotonicMs() - trial.sentMs, slowestMs * 0.9);
    silentTrials = 0;
    trial.isBack = true;
    const isUrgent = search.isBusy();
    change(() => search.passed(bytes));
    if (!isUrgent) return; // the small one has its time
    trial = null;
    cancel();
    rest();
  }

  return {
    mtuBytes: () => search.mtuBytes(),
    receive(packet) {
      const heard = decodeSized(packet);
      if (!heard || isClosed) return heard !== null;
      if (heard.kind === 'answer') noteAnswer(heard);
      else deps.send(encodeSized({ ...heard, kind: 'answer' }, packet.byteLength, clock.now() * 1000));
      return true;
    },
    suspect() {
      if (isClosed || trial || clock.monotonicMs() - lookedAtMs < SUSPECT_PAUSE_MS) return;
      cancel();
      begin();
    },
    retune(next) {
      settings = next;
      change(() => search.retune(next));
    },
    close() {
      isClosed = true;
      cancel();
    },
  };
}
