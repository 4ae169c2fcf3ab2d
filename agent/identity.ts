import { X509Certificate } from 'node:crypto';
import { type AnchoredClock, type Cancel, type Log, messageOf, sleep, Stalled, Waiting } from '../src/base/index.ts';
import type { Credentials } from './ports.ts';
import type { AgentSettings } from './settings.ts';
import { enrol, loadCredentials, refreshSigners, renewIfDue } from './sync/index.ts';

export interface Identity {
  current(): Credentials;
  /** Begins to renew in time; `onNew` gets every new certificate. */
  keepFresh(onNew: (credentials: Credentials) => void): void;
  /** Gets a new certificate now, whatever the age of the present one. */
  renewNow(): void;
  /** The engine's signing keys may have been rotated while this node was away. */
  refreshSigners(): void;
  stop(): void;
}

/** How often it is looked whether half of the certificate's life is over, ms. */
const CHECK_MS = 60_000;
const ENROL_RETRY_MAX_MS = 60_000;

/**
 * Who this node is: what was stored, or what enrolment with the join token gives, waiting for the engine as long as it
 * takes. A stored certificate that has ended still starts the agent, since tunnels that are up go on without it; a new
 * token in the settings then makes it whole again.
 * @throws Stalled when the node has no certificate and no token, or the engine refuses the token
 */
export async function obtainIdentity(settings: AgentSettings, clock: AnchoredClock, log: Log): Promise<Identity> {
  const { node, stateDir } = settings;
  let credentials = await loadCredentials(stateDir, node, clock.now());
  let isExpired = false;
  if (!credentials) {
    credentials = await loadCredentials(stateDir, node, 0);
    isExpired = credentials !== null;
  }
  if (credentials) clock.anchor(beganAt(credentials));
  if (isExpired) log.error({ node }, 'the certificate has ended: running tunnels go on, new ones and the engine need a new join token');
  credentials ??= await enrolPatiently(settings, clock, log);
  return keep(settings, credentials, isExpired, clock, log);
}

async function enrolPatiently(settings: AgentSettings, clock: AnchoredClock, log: Log): Promise<Credentials> {
  const { node, stateDir, engine, joinToken } = settings;
  if (joinToken === null) {
    throw new Stalled('CA_TOKEN_REFUSED', { what: `${node} has no certificate and no join token`, fix: `make one with "foremesh join-token ${node}" and put it into joinTokenFile` });
  }
  for (let attempt = 0; ; attempt++) {
    try {
      const credentials = await enrol({ engine, token: joinToken, node, stateDir });
      log.info({ node }, 'joined the mesh');
      return credentials;
    } catch (cause) {
      if (!(cause instanceof Waiting)) throw cause;
      const waitMs = Math.min(ENROL_RETRY_MAX_MS, Math.min(cause.retryAfterMs, 500 * 2 ** Math.min(attempt, 8)));
      log.warn({ error: cause.message, waitMs }, 'the engine cannot be reached, joining later');
      await sleep(clock, waitMs);
    }
  }
}

function keep(settings: AgentSettings, first: Credentials, isExpired: boolean, clock: AnchoredClock, log: Log): Identity {
  const { node, stateDir, engine } = settings;
  let credentials = first;
  let cancel: Cancel = () => undefined;
  let isStopped = false;
  let isAsked = false;
  let checkNow = (): void => undefined;

  async function renewed(): Promise<Credentials | null> {
    isExpired &&= endsAt(credentials) <= clock.now(); // the clock that said so may have been set right
    const isEnrolmentDue = isExpired && settings.joinToken !== null && credentials === first;
    if (isEnrolmentDue) return enrol({ engine, token: settings.joinToken!, node, stateDir });
    return isExpired ? null : renewIfDue({ engine, node, stateDir, clock, credentials, isAsked });
  }

  async function check(onNew: (credentials: Credentials) => void): Promise<void> {
    try {
      const next = await renewed();
      if (next && !isStopped) {
        credentials = next;
        clock.anchor(beganAt(next));
        isExpired = false;
        isAsked = false;
        log.info({ node }, 'certificate renewed');
        onNew(next);
      }
    } catch (cause) {
      log.warn({ error: messageOf(cause) }, 'the certificate could not be renewed yet');
    }
    if (!isStopped) cancel = clock.setTimer(CHECK_MS, () => void check(onNew));
  }

  return {
    current: () => credentials,
    keepFresh(onNew) {
      checkNow = () => {
        cancel();
        void check(onNew);
      };
      checkNow();
    },
    renewNow() {
      isAsked = true;
      checkNow();
    },
    refreshSigners() {
      refreshSigners({ engine, stateDir, caPem: credentials.caPem })
        .then((changed) => {
          if (changed) log.warn('the engine has other signing keys now');
        })
        .catch((cause: unknown) => log.warn({ error: messageOf(cause) }, 'the signers could not be fetched'));
    },
    stop() {
      isStopped = true;
      cancel();
    },
  };
}

function endsAt({ certificatePem }: Credentials): number {
  return Date.parse(new X509Certificate(certificatePem).validTo);
}

/** A certificate proves that it was at least its first moment when it was issued. */
function beganAt({ certificatePem }: Credentials): number {
  return Date.parse(new X509Certificate(certificatePem).validFrom);
}
