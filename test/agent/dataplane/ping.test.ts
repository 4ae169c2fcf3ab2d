import { expect, it } from 'vitest';
import { createPinger } from '../../../agent/dataplane/ping.ts';
import type { Machine } from '../../../agent/dataplane/machine.ts';
import { type Log, VirtualClock } from '../../../src/base/index.ts';

const REPLY = '64 bytes from 10.1.0.9: icmp_seq=1 ttl=64 time=0.04 ms';

function world() {
  const clock = new VirtualClock();
  const started: { atMs: number; say: (line: string) => void; end: (why: string) => void }[] = [];
  const warnings: string[] = [];
  const machine = {
    watch(_program: string, _args: readonly string[], say: (line: string) => void, end: (why: string) => void) {
      started.push({ atMs: clock.monotonicMs(), say, end });
      return () => undefined;
    },
  } as unknown as Machine;
  const log = { warn: (fields: { why: string }) => warnings.push(fields.why) } as unknown as Log;
  let replies = 0;
  const stop = createPinger(machine, clock, log)('10.1.0.9', () => replies++);
  return { clock, started, warnings, stop, replies: () => replies };
}

it('starts a ping that worked again at once, before its silence could be taken for a dead LAN', async () => {
  const { clock, started, warnings, replies } = world();
  started[0]!.say('PING 10.1.0.9 (10.1.0.9) 56(84) bytes of data.');
  started[0]!.say(REPLY);
  started[0]!.end('ended by SIGKILL');
  await clock.advance(100);
  expect(replies()).toBe(1);
  expect(started).toHaveLength(2);
  expect(warnings).toEqual([]);
});

it('says once that ping does not run, and goes on trying', async () => {
  const { clock, started, warnings, stop } = world();
  for (let count = 1; count <= 3; count++) {
    started.at(-1)!.end('spawn ping EPERM');
    await clock.advance(2_000);
    expect(started).toHaveLength(count + 1);
  }
  expect(warnings).toEqual(['spawn ping EPERM']);
  stop();
  started.at(-1)!.end('ended by SIGTERM');
  await clock.advance(10_000);
  expect(started).toHaveLength(4);
});
