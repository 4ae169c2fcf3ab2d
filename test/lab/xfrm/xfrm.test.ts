import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { canMakeXfrmInterface, localMachine } from '../../../agent/dataplane/index.ts';
import { runCommand } from '../../../src/base/index.ts';

/** ESP in the kernel needs a kernel that has it: this machine's where it does, else one in QEMU with the same steps. */
if (await canMakeXfrmInterface(localMachine)) {
  process.env['FOREMESH_TEST_DRIVER'] = 'xfrm';
  await import('../../qemu/xfrm-steps.ts');
} else {
  describe('two gateways with XFRM interfaces', () => {
    it('hold every step in a guest whose kernel has them', async () => {
      const tool = resolve(import.meta.dirname, '../../../tools/qemu-xfrm.mjs');
      const { exitCode, stdout, stderr } = await runCommand(process.execPath, [tool, '--quick', '--output', 'json'], { timeoutMs: 240_000 });
      if (exitCode > 1) throw new Error(stderr);
      const { held, tests } = JSON.parse(stdout.toString('utf8')) as { held: boolean; tests: { test: string; ok: boolean; error?: string }[] };
      expect(tests.filter(({ ok }) => !ok)).toEqual([]);
      expect(tests.length).toBeGreaterThanOrEqual(8);
      expect(held, stderr).toBe(true);
    });
  });
}
