import { access } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { messageOf, runCommand, runCommandText } from '../base/index.ts';

export type LabPossible = { possible: true } | { possible: false; reason: string };

/** What the lab calls, how it is asked whether it is there, and the Debian package that brings it. */
const PROGRAMS = [
  { program: 'ip', args: ['-V'], debianPackage: 'iproute2' },
  { program: 'nft', args: ['--version'], debianPackage: 'nftables' },
  { program: 'ethtool', args: ['--version'], debianPackage: 'ethtool' },
  { program: 'sysctl', args: ['--version'], debianPackage: 'procps' },
  { program: 'ping', args: ['-V'], debianPackage: 'iputils-ping' },
  { program: 'iperf3', args: ['--version'], debianPackage: 'iperf3' },
  { program: 'setpriv', args: ['--version'], debianPackage: 'util-linux' },
  { program: 'swanctl', args: ['--version'], debianPackage: 'strongswan-swanctl' },
] as const;
const CHARON = '/usr/lib/ipsec/charon';

/**
 * Whether a real lab can run here: Linux, root, the programs, and a kernel that lets us make namespaces with veth,
 * bridge and VXLAN, which is tried. The reason is one line for people.
 */
export async function isLabPossible(): Promise<LabPossible> {
  if (process.platform !== 'linux') return no(`network namespaces need Linux, this is ${process.platform}`);
  if (process.getuid?.() !== 0) return no('network namespaces need root; run it with sudo');
  const missing = await missingPackages();
  if (missing.length > 0) return no(`not installed: ${missing.join(', ')}`);
  return tryNamespaces();
}

async function missingPackages(): Promise<string[]> {
  const found = await Promise.all(PROGRAMS.map(({ program, args }) => runCommand(program, args).then(() => true, () => false)));
  const charon = await access(CHARON).then(() => true, () => false);
  return [...PROGRAMS.filter((_, index) => !found[index]).map((one) => one.debianPackage), ...(charon ? [] : ['strongswan-charon'])];
}

async function tryNamespaces(): Promise<LabPossible> {
  const name = `fmtry-${randomBytes(3).toString('hex')}`;
  try {
    await runCommandText('ip', ['netns', 'add', name]);
    const lines = ['link add try0 type veth peer name try1', 'link add try2 type bridge', 'link add try3 type vxlan id 1 remote 169.254.0.2 dev try0 dstport 4789'];
    const links = await runCommand('ip', ['-n', name, '-batch', '-'], { stdin: `${lines.join('\n')}\n` });
    if (links.exitCode !== 0) return no(`the kernel lacks veth, bridge or vxlan: ${firstLine(links.stderr)}`);
    const nft = await runCommand('ip', ['netns', 'exec', name, 'nft', 'add', 'table', 'inet', 'foremesh']);
    return nft.exitCode === 0 ? { possible: true } : no(`the kernel lacks nftables: ${firstLine(nft.stderr)}`);
  } catch (cause) {
    return no(`network namespaces cannot be made: ${firstLine(messageOf(cause))}`);
  } finally {
    await runCommand('ip', ['netns', 'del', name]);
  }
}

function no(reason: string): LabPossible {
  return { possible: false, reason };
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0]?.slice(0, 200) ?? '';
}
