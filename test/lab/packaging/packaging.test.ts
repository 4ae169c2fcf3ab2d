import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CommandResult, runCommand, runCommandText } from '../../../src/base/index.ts';
import { MARK1, T1, wantedOf } from '../adapters/support.ts';

const repository = resolve(import.meta.dirname, '../../..');
const NAMESPACE = 'fmpkg-gw';
/** As the unit has it: an own user, two capabilities, no way to another. */
const UNPRIVILEGED = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--no-new-privs', '--bounding-set', '-all,+net_admin,+net_raw', '--inh-caps', '-all,+net_admin,+net_raw', '--ambient-caps', '-all,+net_admin,+net_raw'];

/** The package, installed by dpkg below a folder, as it would be on a gateway. */
describe('the package of the agent', () => {
  let folder = '';
  let root = '';
  let library = '';
  const agent = (...args: string[]): Promise<CommandResult> => runCommand(process.execPath, [join(library, 'dist/agent/main.js'), ...args]);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fmpkg-'));
    await chmod(folder, 0o755);
    root = join(folder, 'root');
    library = join(root, 'usr/lib/foremesh');
    for (const name of ['info', 'updates']) await mkdir(join(root, 'var/lib/dpkg', name), { recursive: true });
    await writeFile(join(root, 'var/lib/dpkg/status'), '');
    await runCommandText(process.execPath, [join(repository, 'tools/package.mjs'), '--out', folder]);
  });
  afterAll(async () => {
    await runCommand('ip', ['netns', 'del', NAMESPACE]);
    await rm(folder, { recursive: true, force: true });
  });

  it('is the same when it is built again', async () => {
    const again = join(folder, 'again');
    await runCommandText(process.execPath, [join(repository, 'tools/package.mjs'), '--out', again]);
    expect((await readFile(join(again, 'foremesh-agent_0.1.0_all.deb'))).equals(await readFile(join(folder, 'foremesh-agent_0.1.0_all.deb')))).toBe(true);
  });

  it('is taken by dpkg, with root as owner of all and nothing that others may write', async () => {
    // maintainer scripts speak to the real system: left out here
    const options = [`--root=${root}`, '--force-not-root', '--force-depends', '--no-triggers'];
    await runCommandText('dpkg', [...options, '--unpack', join(folder, 'foremesh-agent_0.1.0_all.deb')]);
    const listing = (await runCommandText('dpkg-deb', ['-c', join(folder, 'foremesh-agent_0.1.0_all.deb')])).split('\n').filter((line) => line !== '');
    expect(listing.filter((line) => !/^[-d]rwxr-xr-x root\/root |^-rw-r--r-- root\/root /.test(line))).toEqual([]);
    expect(listing.filter((line) => /\/(?:src\/(?:planner|reconcile|ca|cli|lab)|duckdb|tfjs)/.test(line))).toEqual([]);
    for (const script of ['postinst', 'prerm', 'postrm']) {
      expect((await stat(join(root, `var/lib/dpkg/info/foremesh-agent.${script}`))).mode & 0o111).toBe(0o111);
      await runCommandText('sh', ['-n', join(root, `var/lib/dpkg/info/foremesh-agent.${script}`)]);
    }
    expect((await agent('--help')).exitCode).toBe(0);
  });

  it('has units that systemd reads, closed as far as they say', async () => {
    const unit = (name: string): string => join(repository, 'packaging', name);
    const exposure = async (name: string): Promise<number> => Number(/level for \S+: ([\d.]+)/.exec((await runCommand('systemd-analyze', ['security', '--offline=true', unit(name)])).stdout.toString('utf8'))?.[1]);
    expect(await exposure('foremesh-agent.service')).toBeLessThanOrEqual(2.1);
    expect(await exposure('foremesh-engine.service')).toBeLessThanOrEqual(1.4);
    for (const name of ['foremesh-agent.service', 'foremesh-engine.service']) {
      const { stderr } = await runCommand('systemd-analyze', ['verify', unit(name)]);
      // the programs are not installed on the machine that tests
      expect(stderr.split('\n').filter((line) => line !== '' && !line.includes('is not executable'))).toEqual([]);
    }
  });

  it('prints what an installation would do without the token in it, and does it below another root', async () => {
    const token = join(folder, 'token');
    await writeFile(token, `berlin-gw1.${'0'.repeat(64)}.very-secret-very-secret\n`);
    const args = ['install', '--node', 'berlin-gw1', '--engine', '127.0.0.1:9', '--token-file', token, '--root', root];
    const dry = (await agent(...args, '--dry-run')).stdout.toString('utf8');
    expect(dry).toContain('/etc/foremesh/agent.yaml');
    expect(dry).not.toContain('very-secret');
    expect((await agent(...args, '--dry-run', '--output', 'json')).stdout.toString('utf8')).not.toContain('very-secret');
    expect((await agent(...args)).exitCode).toBe(0);
    expect((await stat(join(root, 'var/lib/foremesh'))).mode & 0o777).toBe(0o700);
    expect((await agent('install', '--node', 'berlin-gw1')).exitCode).toBe(2);
  });

  it('has a doctor that tells what is missing, by code, and says so with its exit code', async () => {
    const { exitCode, stdout } = await agent('doctor', '--config', join(root, 'etc/foremesh/agent.yaml'), '--output', 'json');
    const { ok, findings } = JSON.parse(stdout.toString('utf8')) as { ok: boolean; findings: { code: string; level: string; fix: string }[] };
    expect(ok).toBe(false);
    expect(exitCode).toBe(1);
    const level = (code: string): string | undefined => findings.find((finding) => finding.code === code)?.level;
    expect([level('SETTINGS'), level('RUNTIME'), level('NFTABLES'), level('IKE_DAEMON'), level('ENGINE'), level('CERTIFICATE')]).toEqual(['ok', 'ok', 'ok', 'error', 'error', 'warning']);
    expect(findings.filter((finding) => finding.level !== 'ok' && finding.fix === '')).toEqual([]);
    expect(await runCommandText('ip', ['-br', 'link'])).not.toMatch(/fm-(?:xfrm-)?try/);
  });

  it('is installed and run by a real systemd, within its sandbox: the agent starts, speaks to the IKE daemon and stops', async () => {
    const trial = join(folder, 'trial');
    const script = (name: string): string => join(import.meta.dirname, name);
    await runCommand('unshare', ['-pfmnuiC', '--kill-child', 'bash', script('boot-systemd.sh'), trial, script('systemd-steps.sh'), join(folder, 'foremesh-agent_0.1.0_all.deb')], { timeoutMs: 100_000 });
    const said = async (name: string): Promise<string> => (await readFile(join(trial, 'out', name), 'utf8').catch(() => 'nothing')).trim();
    const context = await said('trace');
    expect([await said('install.code'), await said('restart.code'), await said('stop.code')], context).toEqual(['0', '0', '0']);
    expect((await said('unit')).split('\n').sort(), context).toEqual(['ActiveState=active', 'NRestarts=0', 'SubState=running', 'UnitFileState=enabled']);
    expect(await said('process')).toMatch(/^Uid:\t(?!0\t)\d+\t.*\nCapEff:\t0000000000003000\nCapBnd:\t0000000000003000\nNoNewPrivs:\t1\nSeccomp:\t2$/);
    expect(JSON.parse(await said('status'))).toMatchObject({ node: 'berlin-gw1', generation: 0, drift: ['not joined yet'] });
    const { findings } = JSON.parse(await said('doctor')) as { findings: { code: string; level: string }[] };
    const level = (code: string): string | undefined => findings.find((finding) => finding.code === code)?.level;
    expect([level('SETTINGS'), level('IKE_DAEMON'), level('IKE_VERSION'), level('STATE_MODES')]).toEqual(['ok', 'ok', 'ok', 'ok']);
    expect((await said('stopped')).split('\n').sort()).toEqual(['ExecMainStatus=0', 'Result=success']);
  });

  it('may ping what is behind it, with the capabilities of its unit', async () => {
    const unit = await readFile(join(root, 'usr/lib/systemd/system/foremesh-agent.service'), 'utf8');
    expect(unit).toContain('CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW\nAmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW\n');
    const [, ...args] = UNPRIVILEGED;
    expect(await runCommandText('setpriv', [...args, 'ping', '-n', '-c', '1', '-W', '1', '127.0.0.1'])).toMatch(/ bytes from .* icmp_seq=/);
  });

  it('does all it does to the kernel as an unprivileged user with CAP_NET_ADMIN', async () => {
    await runCommand('ip', ['netns', 'del', NAMESPACE]);
    await runCommandText('ip', ['netns', 'add', NAMESPACE]);
    for (const name of ['lan', 'isp1', 'isp2', 'ipsec0']) {
      await runCommandText('ip', ['-n', NAMESPACE, 'link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}p`]);
      await runCommandText('ip', ['-n', NAMESPACE, 'link', 'set', name, 'up']);
    }
    await runCommandText('ip', ['netns', 'exec', NAMESPACE, 'sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=1', 'net.ipv4.ip_forward=0']);
    const script = join(folder, 'apply-wanted.mjs');
    await writeFile(script, await readFile(join(import.meta.dirname, 'apply-wanted.mjs')));
    const run = await runCommand('ip', ['netns', 'exec', NAMESPACE, ...UNPRIVILEGED, process.execPath, script, library], { stdin: JSON.stringify(wantedOf('a')) });
    expect(run.stderr).toBe('');
    const said = JSON.parse(run.stdout.toString('utf8')) as { uid: number; first: string[]; second: string[]; third: string[]; tunnels: number };
    expect(said).toMatchObject({ uid: 65_534, second: [], third: [`lane ${MARK1} through ${T1}`], tunnels: 2 });
    expect(said.first).toEqual(expect.arrayContaining(['net/ipv4/ip_forward = 1', `interface ${T1} made`, 'LAN address 10.91.0.1/24 taken']));
  });
});
