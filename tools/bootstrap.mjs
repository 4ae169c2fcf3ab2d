// Gets a bare clone ready to run, with nothing but Node: packages, a build, opa, and for the lab the system's daemons.
// Plain JavaScript without dependencies, since it runs before there are any. Says on stderr what it does; stdout stays
// the command's own. Each step looks first and does nothing when there is nothing to do.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, chmodSync, constants, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const NODE_MINIMUM = [20, 19];

/** The official release, pinned; the sums are those of the release assets. tools/opa/go.mod pins the same version. */
export const OPA_VERSION = '1.19.1';
const OPA_ASSETS = {
  'linux-x64': ['opa_linux_amd64_static', 'c9f985ce0d345f5484006ade2c695ed9e3f308e4441139e46695c5c182ac0839'],
  'linux-arm64': ['opa_linux_arm64_static', '19dcb5186fd394c32023918c53eaacda55f835abb05e13e0f9a766dd1429494f'],
  'darwin-x64': ['opa_darwin_amd64', '80a9e2bce1a44fd81dc4b5415439918786b4685f0709d533d0005abea7e10e02'],
  'darwin-arm64': ['opa_darwin_arm64_static', '805ce3f336154150bef73bafa2dab8806631851bccc7cae95bef46ffabdf8fc3'],
};
/** Rego v1 and the capabilities we compile with came with 1.0; another major may mean another language. */
const OPA_COMPATIBLE = /^1\.\d+\.\d+/;

/** What the lab runs, and the Debian package that has it. */
export const LAB_PROGRAMS = [
  ['/usr/lib/ipsec/charon', 'strongswan-charon'],
  ['swanctl', 'strongswan-swanctl'],
  ['pki', 'strongswan-pki'],
  ['/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so', 'libcharon-extra-plugins'],
  ['/usr/lib/ipsec/plugins/libstrongswan-openssl.so', 'libstrongswan-standard-plugins'],
  ['ip', 'iproute2'],
  ['nft', 'nftables'],
  ['conntrack', 'conntrack'],
  ['iperf3', 'iperf3'],
  ['ping', 'iputils-ping'],
  ['arping', 'iputils-arping'],
  ['ethtool', 'ethtool'],
  ['tcpdump', 'tcpdump'],
];
/** What a guest with a kernel of its own is made with; only for its tests. */
export const GUEST_PROGRAMS = [
  ['qemu-system-x86_64', 'qemu-system-x86'],
  ['cpio', 'cpio'],
  ['busybox', 'busybox-static'],
];
/** What the tests of units and packages run besides. */
export const PACKAGING_PROGRAMS = [
  ['systemd-analyze', 'systemd'],
  ['dpkg-deb', 'dpkg'],
  ['setpriv', 'util-linux'],
];
const BASE_PROGRAMS = [
  ['git', 'git'],
  ['ssh-keygen', 'openssh-client'],
];

export function say(text) {
  process.stderr.write(`foremesh: ${text}\n`);
}

export class BootstrapError extends Error {}

/** The folder for things worth keeping between clones. */
export function cacheDir() {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'foremesh');
}

export function ensureNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < NODE_MINIMUM[0] || (major === NODE_MINIMUM[0] && minor < NODE_MINIMUM[1])) {
    throw new BootstrapError(`Node ${process.versions.node} is too old; install Node ${NODE_MINIMUM.join('.')} or newer (20, 22 and 24 are tested)`);
  }
}

/** `npm ci`, when the lock file is another than the one node_modules was made from. No package of ours needs an install script. */
export function ensureDependencies() {
  const lock = createHash('sha256').update(readFileSync(join(ROOT, 'package-lock.json'))).digest('hex');
  const stamp = join(ROOT, 'node_modules', '.foremesh-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  say('installing npm packages (once)');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  run(npm, ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: ROOT });
  writeFileSync(stamp, lock);
}

/** Compiles src and agent to dist/ when a source file is newer than the last build. About a second. */
export function ensureBuild() {
  const stampFile = join(ROOT, 'dist', '.stamp');
  const stamp = fingerprintSources(['src', 'agent', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json']);
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  rmSync(join(ROOT, 'dist'), { recursive: true, force: true });
  run(process.execPath, [compiler, '-p', 'tsconfig.build.json'], { cwd: ROOT });
  copyPlainScripts(join(ROOT, 'src'), join(ROOT, 'dist', 'src'));
  writeFileSync(stampFile, stamp);
}

/** Path of an `opa` that fits: FOREMESH_OPA, PATH, our cache, the pinned release, `go build`, in this order. */
export async function ensureOpa() {
  const given = process.env.FOREMESH_OPA;
  if (given) {
    if (!opaVersion(given)) throw new BootstrapError(`FOREMESH_OPA=${given} does not run; unset it or point it to an opa 1.x`);
    return given;
  }
  const onPath = findOnPath('opa');
  if (onPath && OPA_COMPATIBLE.test(opaVersion(onPath) ?? '')) return onPath;
  const cached = join(cacheDir(), `opa-${OPA_VERSION}`, process.platform === 'win32' ? 'opa.exe' : 'opa');
  if (!opaVersion(cached)) {
    mkdirSync(dirname(cached), { recursive: true });
    if (!(await downloadOpa(cached))) buildOpa(cached);
  }
  return cached;
}

/** Installs what the lab needs and lacks through apt, after saying so. False when that is not possible here. */
export function ensureSystemPackages(programs = [...BASE_PROGRAMS, ...LAB_PROGRAMS]) {
  const missing = programs.filter(([program]) => !findOnPath(program)).map(([, name]) => name);
  if (missing.length === 0) return true;
  const apt = findOnPath('apt-get');
  if (!apt || process.getuid?.() !== 0) {
    say(`missing: ${missing.join(' ')}${apt ? ' (root is needed to install them)' : ' (install them with your package manager)'}`);
    return false;
  }
  say(`installing ${missing.join(' ')} with apt-get`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = ['install', '-y', '-q', '--no-install-recommends', ...missing];
  if (tryRun(apt, install, { env })) return true;
  run(apt, ['update', '-q'], { env });
  run(apt, install, { env });
  return true;
}

export function ensureBaseProgrammes() {
  if (!ensureSystemPackages(BASE_PROGRAMS)) throw new BootstrapError('git and ssh-keygen are needed; install them and try again');
}

/** First executable of that name on PATH (sbin included, where Debian keeps half of the lab), or null. */
export function findOnPath(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/bin'];
  const files = program.includes('/') ? [program] : folders.map((folder) => join(folder, program));
  return files.find((file) => isFile(file)) ?? null;
}

function isFile(file) {
  try {
    accessSync(file, file.endsWith('.so') ? constants.R_OK : constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false; // not there or not ours to run: the same answer
  }
}

function opaVersion(program) {
  const result = spawnSync(program, ['version'], { encoding: 'utf8', timeout: 20_000 });
  return result.status === 0 ? (/^Version:\s*(\S+)/m.exec(result.stdout)?.[1] ?? null) : null;
}

async function downloadOpa(target) {
  const asset = OPA_ASSETS[`${process.platform}-${process.arch}`];
  if (!asset) return false;
  const url = `https://github.com/open-policy-agent/opa/releases/download/v${OPA_VERSION}/${asset[0]}`;
  try {
    say(`getting opa ${OPA_VERSION} (once)`);
    const response = await fetch(url, { signal: AbortSignal.timeout(120_000) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const bytes = Buffer.from(await response.arrayBuffer());
    const sum = createHash('sha256').update(bytes).digest('hex');
    if (sum !== asset[1]) throw new BootstrapError(`the download of opa ${OPA_VERSION} has sha256 ${sum}, expected ${asset[1]}: refused`);
    install(target, bytes);
    return true;
  } catch (error) {
    if (error instanceof BootstrapError) throw error;
    say(`no download (${error.cause?.code ?? error.message}); building it with go instead`);
    return false;
  }
}

function buildOpa(target) {
  const go = findOnPath('go') ?? (existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : null);
  if (!go) throw new BootstrapError('opa cannot be had: no download and no Go; install opa 1.x and put it on PATH, or set FOREMESH_OPA');
  say(`building opa ${OPA_VERSION} with go (once, about two minutes)`);
  const temporary = `${target}.${process.pid}.tmp`;
  run(go, ['build', '-trimpath', '-ldflags=-s -w', '-o', temporary, 'github.com/open-policy-agent/opa'], { cwd: join(ROOT, 'tools', 'opa') });
  renameSync(temporary, target);
}

function install(target, bytes) {
  const temporary = `${target}.${process.pid}.tmp`;
  writeFileSync(temporary, bytes);
  chmodSync(temporary, 0o755);
  renameSync(temporary, target);
}

/** Worker scripts that are plain JavaScript travel as they are. */
function copyPlainScripts(from, to) {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (entry.isDirectory()) copyPlainScripts(join(from, entry.name), join(to, entry.name));
    else if (entry.name.endsWith('.mjs')) {
      mkdirSync(to, { recursive: true });
      writeFileSync(join(to, entry.name), readFileSync(join(from, entry.name)));
    }
  }
}

function fingerprintSources(roots) {
  const hash = createHash('sha256');
  const visit = (path) => {
    const stat = statSync(path);
    if (stat.isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name));
    else hash.update(`${path}\0${stat.size}\0${stat.mtimeMs}\n`);
  };
  for (const root of roots) visit(join(ROOT, root));
  return hash.digest('hex');
}

function tryRun(program, args, options) {
  const result = spawnSync(program, args, { stdio: ['ignore', 2, 2], ...options });
  return result.status === 0;
}

function run(program, args, options) {
  if (!tryRun(program, args, options)) throw new BootstrapError(`${program} ${args.slice(0, 3).join(' ')} failed; its message is above`);
}
