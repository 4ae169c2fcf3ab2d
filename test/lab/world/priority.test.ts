import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { withPriority } from '../../../src/lab/run/index.ts';

const SHOW = 'console.log(os.getPriority(), fs.existsSync("/proc/self/autogroup") ? fs.readFileSync("/proc/self/autogroup", "utf8").split("nice ")[1].trim() : "")';

describe('the priority of what the lab starts', () => {
  it.each([-7, 0, 9])('%d counts within its session and, where the kernel groups by session, beside others', async (niceness) => {
    const [program, ...args] = [...withPriority(niceness), process.execPath, '-p', `${SHOW}; ""`];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
    expect((await text(child.stdout)).trim()).toBe(`${niceness} ${existsSync('/proc/self/autogroup') ? niceness : ''}`.trim());
  });
});
