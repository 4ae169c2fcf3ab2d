import type { Cancel, Clock } from '../../src/base/index.ts';
import type { Machine } from './machine.ts';

const INTERVAL_SECONDS = '0.2';
/** A `ping` that ends (no route yet, killed) is started again after this, ms. */
const RESTART_MS = 2_000;

/** `AgentPorts.ping` by one `ping` that stays: ICMP without a raw socket of our own. */
export function createPinger(machine: Machine, clock: Clock): (address: string, onReply: () => void) => Cancel {
  return (address, onReply) => {
    let isStopped = false;
    let cancel: Cancel = () => undefined;
    const start = (): void => {
      if (isStopped) return;
      cancel = machine.watch(
        'ping',
        ['-n', '-i', INTERVAL_SECONDS, '-W', '1', '--', address],
        (line) => / bytes from .* icmp_seq=/.test(line) && onReply(),
        () => {
          cancel = clock.setTimer(RESTART_MS, start);
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
