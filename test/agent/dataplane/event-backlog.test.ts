import { expect, it } from 'vitest';
import { unreadBytes } from '../../../agent/dataplane/event-backlog.ts';
import { execute } from '../../../agent/dataplane/execute.ts';
import { ipChange } from '../../../agent/dataplane/commands.ts';
import type { Machine } from '../../../agent/dataplane/machine.ts';
import { VirtualClock } from '../../../src/base/index.ts';

const HEAD = 'sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n';
const line = (family: number, groups: string, unread: number): string => `00000000dffbfc30 ${family}   4711       ${groups} ${unread}        0        0     2        0        4       \n`;

/** A kernel whose listener gets 800 bytes of event for each line, into a buffer that loses what has no place, and reads slowly. */
function world() {
  const clock = new VirtualClock();
  let unread = 0;
  let lost = 0;
  const batches: number[] = [];
  const machine = {
    async run(_program: string, _args: readonly string[], stdin: string) {
      const count = stdin.trim().split('\n').length;
      batches.push(count);
      for (let index = 0; index < count; index++) {
        if (unread + 800 > 212_992) lost++;
        else unread += 800;
      }
      return { exitCode: 0, stdout: Buffer.alloc(0), stderr: '' };
    },
    async readNetlink() {
      unread = Math.max(0, unread - 1_600);
      return HEAD + line(0, '00000001', unread);
    },
  } as unknown as Machine;
  return { clock, machine, batches, lost: () => lost };
}

it('has a thousand addresses heard by a listener whose buffer holds a quarter of them', async () => {
  const { clock, machine, batches, lost } = world();
  const addresses = Array.from({ length: 1_000 }, (_, index) => ipChange(`address ${index}`, `addr add 172.30.${index >> 8}.${index & 255}/32 dev lo`));
  const done = execute([addresses], machine, clock);
  await clock.advance(10_000);
  expect(await done).toHaveLength(1_000);
  expect(lost()).toBe(0);
  expect(batches.reduce((sum, count) => sum + count)).toBe(1_000);
});

it('waits for nobody when little is changed, and not for ever for a listener that hangs', async () => {
  const { clock, machine } = world();
  await execute([[ipChange('one', 'addr add 172.30.0.1/32 dev lo')]], machine, clock); // without moving the clock
  const hanging = { ...machine, readNetlink: async () => HEAD + line(0, '00000010', 200_000) };
  const done = execute([Array.from({ length: 90 }, () => ipChange('x', 'addr add 172.30.0.1/32 dev lo'))], hanging, clock);
  await clock.advance(2_100);
  await done;
});

it('looks at those who hear of the network only', () => {
  expect(unreadBytes(HEAD + line(0, '00000000', 9_000) + line(15, '00000001', 9_000))).toBe(0);
  expect(unreadBytes(HEAD + line(0, '00000111', 10) + line(0, '000a0000', 500))).toBe(500);
  expect(unreadBytes('')).toBe(0);
});
