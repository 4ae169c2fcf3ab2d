import { afterEach, describe, expect, it } from 'vitest';
import { endCommandHelper, keepCommandHelper, runCommand } from '../../src/base/index.ts';

afterEach(endCommandHelper);

describe.each([
  ['from this process', (): void => undefined],
  ['by the helper', keepCommandHelper],
])('commands run %s', (_, prepare) => {
  it('give exit code, both outputs and every byte', async () => {
    prepare();
    const bytes = Uint8Array.from({ length: 300_000 }, (_each, index) => index % 256);
    const echo = await runCommand('cat', [], { stdin: bytes });
    expect(echo.exitCode).toBe(0);
    expect(Buffer.compare(echo.stdout, bytes)).toBe(0);
    expect(await runCommand('sh', ['-c', 'echo out; echo err >&2; exit 3'])).toMatchObject({ exitCode: 3, stderr: 'err\n' });
  });

  it('see the environment and the folder they are given', async () => {
    prepare();
    const { stdout } = await runCommand('sh', ['-c', 'echo "$ONE $HOME $PWD"'], { env: { ONE: '1', PATH: process.env['PATH'] }, cwd: '/' });
    expect(stdout.toString()).toBe('1  /\n');
  });

  it('are killed after their time', async () => {
    prepare();
    const { exitCode, stderr } = await runCommand('sleep', ['30'], { timeoutMs: 50 });
    expect({ exitCode, stderr }).toEqual({ exitCode: 128, stderr: '\nsleep was ended by SIGKILL' });
  });

  it('say so when there is no such program', async () => {
    prepare();
    await expect(runCommand('no-such-program-here', [])).rejects.toMatchObject({ code: 'TOOL_MISSING', what: 'no-such-program-here could not be started' });
    await expect(runCommand('true', [], { cwd: '/no/such/folder' })).rejects.toMatchObject({ code: 'TOOL_MISSING' });
  });

  it('run side by side', async () => {
    prepare();
    const ends = await Promise.all(Array.from({ length: 30 }, (_each, index) => runCommand('sh', ['-c', `echo ${index}`])));
    expect(ends.map(({ stdout }) => stdout.toString().trim())).toEqual(ends.map((_each, index) => String(index)));
  });
});

it('a helper that was killed fails what it ran, and the next command runs all the same', async () => {
  keepCommandHelper();
  await expect(runCommand('sh', ['-c', 'kill -9 $PPID; sleep 5'])).rejects.toMatchObject({ code: 'COMMAND_FAILED' });
  expect((await runCommand('echo', ['still'])).stdout.toString()).toBe('still\n');
});
