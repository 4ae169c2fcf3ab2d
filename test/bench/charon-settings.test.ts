import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { strongswanConf } from '../../src/lab/charon.ts';

/** `key = value` lines of a strongswan.conf, by the sections around them. */
function settingsOf(conf: string): Map<string, string> {
  const sections: string[] = [];
  const settings = new Map<string, string>();
  for (const line of conf.split('\n').map((text) => text.replace(/#.*/, '').trim())) {
    if (line.endsWith('{')) sections.push(line.slice(0, -1).trim());
    else if (line === '}') sections.pop();
    else if (line.length > 0) settings.set([...sections, line.split('=')[0]!.trim()].join('.'), line.split('=').slice(1).join('=').trim());
  }
  expect(sections).toEqual([]);
  return settings;
}

describe('the settings of the IKE daemon', () => {
  it.each(['libipsec', 'xfrm'] as const)('are the packaged ones in the lab too (%s), where they decide how many tunnels come up at once', async (driver) => {
    const lab = settingsOf(strongswanConf({ socketPath: '/x', logFile: '/y', driver, threads: 16 }));
    const packaged = settingsOf(await readFile(new URL('../../packaging/strongswan.d/foremesh.conf', import.meta.url), 'utf8'));
    const alike = ['charon.threads', 'charon.ikesa_table_size', 'charon.ikesa_table_segments', 'charon.init_limit_half_open', 'charon.cookie_threshold_ip', 'charon.block_threshold', 'charon.plugins.kernel-netlink.roam_events', 'charon.plugins.kernel-netlink.receive_buffer_size'];
    expect(alike.map((key) => [key, lab.get(key)])).toEqual(alike.map((key) => [key, packaged.get(key)]));
    expect(lab.get('charon.cookie_threshold_ip')).toBe('0');
    expect(lab.get('charon.plugins.kernel-netlink.roam_events')).toBe('no');
  });
});
