import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { diagnose, DOCTOR_CODES, type DoctorCode, type DoctorFacts, type DoctorLevel } from '../../../agent/setup/index.ts';

const NOW = Date.parse('2026-11-22T12:00:00Z');
const HOUR = 3_600_000;
const PLUGINS = ['random', 'nonce', 'pem', 'pkcs1', 'pkcs8', 'pubkey', 'x509', 'openssl', 'kernel-netlink', 'socket-default', 'vici'];

/** A gateway that lacks nothing. */
const WELL: DoctorFacts = {
  nodeVersion: '20.19.2',
  kernelVersion: '6.1.0-56-cloud-amd64',
  isRoot: true,
  settingsFault: null,
  driver: 'auto',
  kernel: { xfrm: true, vxlan: true, htb: true },
  daemon: { name: 'charon-systemd', version: '5.9.8', plugins: PLUGINS, mlKem: false },
  udpPorts: [500, 4500, 68],
  nftVersion: '1.0.6',
  droppingTables: [],
  legacyTables: [],
  networkdTakesForeign: false,
  uplinks: [{ name: 'fibre', interface: 'isp1', mtu: 1500 }],
  sysctls: { 'net/ipv4/conf/all/send_redirects': '0' },
  stateMode: 0o700,
  keyMode: 0o600,
  certificate: { beginsAt: NOW - HOUR, endsAt: NOW + 23 * HOUR },
  engine: { at: NOW - 1000 },
  isClockSynchronised: true,
  now: NOW,
};

describe('the doctor', () => {
  it('finds nothing wrong where nothing is, one finding a code, in order', () => {
    const findings = diagnose(WELL);
    expect(findings.map(({ code }) => code)).toEqual([...DOCTOR_CODES]);
    expect(findings.filter(({ level }) => level !== 'ok')).toEqual([]);
  });

  it.each<[string, Partial<DoctorFacts>, DoctorCode, DoctorLevel]>([
    ['settings that cannot be read', { settingsFault: 'agent.yaml: node: missing' }, 'SETTINGS', 'error'],
    ['an old Node', { nodeVersion: '18.20.4' }, 'RUNTIME', 'error'],
    ['a driver that the kernel has not', { driver: 'xfrm', kernel: { xfrm: false, vxlan: true, htb: true } }, 'KERNEL_DRIVER', 'error'],
    ['a daemon that does ESP itself, with driver xfrm', { driver: 'xfrm', daemon: { name: 'charon', version: '5.9.8', plugins: [...PLUGINS, 'kernel-libipsec'], mlKem: false } }, 'KERNEL_DRIVER', 'error'],
    ['a daemon that cannot, with driver libipsec', { driver: 'libipsec' }, 'KERNEL_DRIVER', 'error'],
    ['ESP in userspace by accident', { daemon: { name: 'charon', version: '5.9.8', plugins: [...PLUGINS, 'kernel-libipsec'], mlKem: false } }, 'KERNEL_DRIVER', 'warning'],
    ['a kernel that was not tried', { kernel: null, isRoot: false }, 'KERNEL_DRIVER', 'unknown'],
    ['no queues', { kernel: { xfrm: true, vxlan: true, htb: false } }, 'KERNEL_SHAPING', 'warning'],
    ['no daemon', { daemon: { fault: 'VICI_CLOSED' } }, 'IKE_DAEMON', 'error'],
    ['an old daemon', { daemon: { name: 'charon', version: '5.8.4', plugins: PLUGINS, mlKem: false } }, 'IKE_VERSION', 'error'],
    ['a daemon without X.509', { daemon: { name: 'charon', version: '5.9.8', plugins: PLUGINS.filter((name) => name !== 'x509'), mlKem: false } }, 'IKE_PLUGINS', 'error'],
    ['a closed port', { udpPorts: [500] }, 'IKE_PORTS', 'error'],
    ['no nft', { nftVersion: null }, 'NFTABLES', 'error'],
    ['an old nft', { nftVersion: '0.9.7' }, 'NFTABLES', 'error'],
    ['Docker', { droppingTables: ['ip filter FORWARD'] }, 'OTHER_FIREWALL', 'warning'],
    ['iptables of old', { legacyTables: ['filter'] }, 'OTHER_FIREWALL', 'warning'],
    ['systemd-networkd', { networkdTakesForeign: true }, 'OTHER_NETWORKD', 'warning'],
    ['an uplink that is not there', { uplinks: [{ name: 'lte', interface: 'wwan0', mtu: null }] }, 'UPLINK_MTU', 'error'],
    ['an uplink that is too narrow', { uplinks: [{ name: 'lte', interface: 'wwan0', mtu: 1280 }] }, 'UPLINK_MTU', 'warning'],
    ['redirects', { sysctls: { 'net/ipv4/conf/all/send_redirects': '1' } }, 'SYSCTLS', 'warning'],
    ['a key that others may read', { keyMode: 0o644 }, 'STATE_MODES', 'error'],
    ['a node that has not joined', { certificate: null }, 'CERTIFICATE', 'warning'],
    ['a certificate that was not renewed', { certificate: { beginsAt: NOW - 20 * HOUR, endsAt: NOW + 4 * HOUR } }, 'CERTIFICATE', 'warning'],
    ['a certificate that has ended', { certificate: { beginsAt: NOW - 25 * HOUR, endsAt: NOW - HOUR } }, 'CERTIFICATE', 'error'],
    ['a clock behind the certificate', { certificate: { beginsAt: NOW + HOUR, endsAt: NOW + 25 * HOUR } }, 'CERTIFICATE', 'error'],
    ['no engine', { engine: { fault: 'CHANNEL_CLOSED' } }, 'ENGINE', 'error'],
    ['a clock that is off by some seconds', { engine: { at: NOW - 9000 } }, 'CLOCK_SKEW', 'warning'],
    ['a clock that is off by minutes', { engine: { at: NOW + 120_000 } }, 'CLOCK_SKEW', 'error'],
    ['no time server', { isClockSynchronised: false }, 'CLOCK_SYNC', 'warning'],
  ])('tells %s, and how to mend it', (_case, difference, code, level) => {
    const finding = diagnose({ ...WELL, ...difference }).find((one) => one.code === code)!;
    expect(finding.level).toBe(level);
    expect(finding.fix).not.toBe('');
  });

  it('says what a wrong clock is, seen from here', () => {
    const told = (at: number): string => diagnose({ ...WELL, engine: { at } }).find(({ code }) => code === 'CLOCK_SKEW')!.what;
    expect(told(NOW - 90_000)).toBe('this clock is 90 s ahead of the engine’s');
    expect(told(NOW + 90_000)).toBe('this clock is 90 s behind the engine’s');
  });

  it('has every code in its documentation, and no other', () => {
    const text = readFileSync(resolve(import.meta.dirname, '../../../docs/agent.md'), 'utf8');
    expect([...text.matchAll(/^\| `([A-Z_]+)` \|/gm)].map((match) => match[1])).toEqual([...DOCTOR_CODES]);
  });
});
