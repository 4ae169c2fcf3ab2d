import type { NodeId } from '../../src/model/index.ts';
import type { Credentials } from '../ports.ts';
import type { StandbySettings, StandbyView } from './standby.ts';
import type { LogNews } from '../worker-thread.ts';

/** What the thread is given when the LAN side begins. */
export interface StandbyWorkerSettings {
  node: NodeId;
  port: number;
  credentials: Credentials;
}

export type StandbyOrder =
  | { kind: 'configure'; settings: StandbySettings | null }
  | { kind: 'credentials'; credentials: Credentials }
  | { kind: 'revoked'; keysSha256: readonly string[] }
  | { kind: 'reach'; sites: number }
  | { kind: 'close'; pauseMs: number };

export type StandbyNews =
  | { kind: 'view'; view: StandbyView }
  | { kind: 'closed' }
  | LogNews;
