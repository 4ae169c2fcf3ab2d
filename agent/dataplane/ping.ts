import type { Cancel, Clock, Log } from '../../src/base/index.ts';
import type { Machine } from './machine.ts';

const INTERVAL_SECONDS = '0.2';
/** A `ping` that worked and ends (killed) is started again at once: its silence must not be taken for the target's, ms. */
const RESTART_MS = 50;
/** One that ended without a reply (no route yet, not allowed) is started again after this, ms. */
const RETRY_MS = 2_000;

/** `AgentPorts.ping` by one `ping` that stays: ICMP without a raw socket of our own. */
export function createPinger(machine: Machine, clock: Clock, log: Log): (address: string, onReply: () => void) => Cancel {
  return (address, onReply) => {
    let isStopped = false;
    let complaint = '';
    let cancel: Cancel = () => undefined;
    const start = (): void => {
      if (isStopped) return;
      let hasReplied = false;
      cancel = machine.watch(
        'ping',
        ['-n', '-i', INTERVAL_SECONDS, '-W', '1', '--', address],
        (line) => {
          if (!/ bytes from .* icmp_seq=/.test(line)) return;
          hasReplied = true;
          onReply();
        },
        (why) => {
          if (!hasReplied && why !== complaint) log.warn({ address, why }, 'ping does not run: what is behind this gateway is not looked at');
          complaint = hasReplied ? '' : why;
          cancel = clock.setTimer(hasReplied ? RESTART_MS : RETRY_MS, start);
        },
      );
    };
    start();
    return () => {
      isStopped = true;
      cancel();
    };
  };
}
