import type { MessagePort } from 'node:worker_threads';
import type { PathState, TunnelId } from '../../src/model/index.ts';
import type { DriverName } from '../driver.ts';
import type { LaneWanted } from '../ports.ts';
import type { PathSettings, PathWindow, ProbeView } from '../probe/index.ts';
import type { LaneTable } from './failover.ts';
import type { StandbyWorkerSettings } from '../standby/messages.ts';
import type { LogNews } from '../worker-thread.ts';

/** What the thread is given when it starts. */
export interface WorkerSettings {
  driver: DriverName;
  probePort: number;
  /** Of session numbers and jitter; another one each time. */
  seed: string;
  logLevel: string;
}

/** To the thread. `run` numbers the sessions of this life, so that what is said of an ended one is not taken for the next. */
export type FailoverOrder =
  | { kind: 'start-probe'; call: number; run: number; tunnel: TunnelId; localOverlay: string; remoteOverlay: string; settings: PathSettings }
  | { kind: 'stop-probe'; tunnel: TunnelId }
  | { kind: 'lanes'; table: LaneTable }
  | { kind: 'lame'; lame: boolean }
  | { kind: 'renew-lanes' }
  | { kind: 'renews'; tunnels: readonly TunnelId[] }
  | { kind: 'standby'; port: MessagePort; settings: StandbyWorkerSettings }
  | { kind: 'windows'; call: number; tunnels: readonly TunnelId[] }
  | { kind: 'close'; call: number; pauseMs: number };

/** From the thread. */
export type FailoverNews =
  | { kind: 'views'; views: readonly RunView[] }
  | { kind: 'verdict'; tunnel: TunnelId; from: PathState; to: PathState; lanesSwitched: number; views: readonly RunView[] }
  | { kind: 'wish'; views: readonly RunView[] }
  | { kind: 'switch'; lanes: readonly LaneWanted[]; number: number }
  | { kind: 'answer'; call: number; value: ReadonlyMap<TunnelId, PathWindow> | null }
  | { kind: 'failure'; call: number; code: string; what: string; fix: string }
  | LogNews;

export interface RunView {
  tunnel: TunnelId;
  run: number;
  view: ProbeView;
}
