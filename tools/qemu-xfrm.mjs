// `node tools/qemu-xfrm.mjs`: the tests of the data path with XFRM interfaces, on a kernel that has them, whatever this
// machine's kernel has: a Debian cloud kernel in QEMU (TCG, no KVM needed) with the programs of this machine, in memory.
// Prints a line for each test; --output json prints one JSON value instead. --suites families,agents runs these only (default: all of
// xfrm, families, agents, adapters, classes); --quick is --suites xfrm: what only this driver does. Exit code 0 when all held, 1 when not, 2 when it could not run. Nothing of the host is touched but the cache folder and a folder in /tmp.
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { BootstrapError, ROOT, cacheDir, ensureDependencies, ensureSystemPackages, findOnPath, GUEST_PROGRAMS, LAB_PROGRAMS, say } from './bootstrap.mjs';
import { importedPackages, packageClosure, targetOf } from './npm-closure.mjs';

/** The package that depends on the newest kernel for virtual machines of this distribution. */
const KERNEL_PACKAGE = 'linux-image-cloud-amd64';
const MODULE_FOLDERS = ['arch', 'crypto', 'lib', 'net', 'drivers/net/veth.ko', 'drivers/net/vxlan', 'drivers/net/dummy.ko'];
/** What the kernel would look for later anyway: loaded at once. */
const MODULES_AT_START = 'xfrm_user xfrm_interface esp4 xfrm4_tunnel gcm ctr seqiv echainiv drbg aesni_intel veth nf_tables nft_hash nft_objref nft_ct nft_fib_inet nft_limit nft_numgen nf_conntrack_netlink';
/** What the tests run; busybox does the rest. */
const PROGRAMS = ['bash', 'ip', 'bridge', 'tc', 'nft', 'conntrack', 'ping', 'arping', 'ethtool', 'sysctl', 'setpriv', 'unshare', 'mount', 'nice', 'cat', 'pki', '/usr/lib/ipsec/charon', process.execPath];
/** As Debian has them: `/bin` is `/usr/bin`. */
const SYSTEM_FOLDERS = ['bin', 'sbin', 'lib', 'lib64'];
const ENTRY = 'test/qemu/guest-main.ts';
/** Programs and threads of their own that the entry starts. */
const STARTED = ['test/qemu/agent-process.ts', 'agent/failover/worker.ts'];
const LIMIT_MS = 900_000;
const MEMORY_MB = 1024;

const INIT = `#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/ipsec HOME=/root TMPDIR=/tmp NO_COLOR=1 FOREMESH_TEST_DRIVER=xfrm
export FOREMESH_TEST_SUITES=$(cat /guest/suites)
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp; mount -t tmpfs run /run
ln -s /proc/self/fd /dev/fd
mkdir -p /run/netns
modprobe -a ${MODULES_AT_START}
ip link set lo up
echo 1 >/proc/sys/kernel/printk
echo @@boot $(cut -d' ' -f1 /proc/uptime) $(uname -r)
node /guest/${ENTRY.replace(/\.ts$/, '.js')} 2>&1
echo @@end $(cut -d' ' -f1 /proc/uptime)
poweroff -f
`;

const wantsJson = process.argv.includes('json');
const SUITES = ['xfrm', 'families', 'agents', 'adapters', 'classes'];
const suites = suitesOf(process.argv);
const unknownSuite = suites.find((name) => !SUITES.includes(name));
if (unknownSuite !== undefined) {
  say(`there is no suite "${unknownSuite}": ${SUITES.join(', ')}`);
  process.exit(2);
}
const startedAtMs = performance.now();
const folder = mkdtempSync(join(tmpdir(), 'foremesh-qemu-'));
let exitCode = 2;
try {
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new BootstrapError('the guest is an x86-64 Linux made from this machine’s programs: not possible here');
  if (!ensureSystemPackages([...LAB_PROGRAMS, ...GUEST_PROGRAMS])) throw new BootstrapError('programs for the guest are missing');
  ensureDependencies();
  const kernel = ensureKernel();
  const image = makeImage(kernel);
  const results = await runGuest(kernel, image);
  exitCode = report(results);
} catch (error) {
  if (!(error instanceof BootstrapError)) throw error;
  say(error.message);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(exitCode);

function suitesOf(args) {
  if (args.includes('--quick')) return ['xfrm'];
  const at = args.indexOf('--suites');
  return at < 0 ? SUITES : (args[at + 1] ?? '').split(',');
}

/** The distribution's own kernel package, unpacked in the cache; got anew only when the distribution has a newer one. */
function ensureKernel() {
  const name = /^\s*Depends: (linux-image-\S+)/m.exec(output('apt-cache', ['depends', KERNEL_PACKAGE]))?.[1];
  if (!name) throw new BootstrapError(`apt knows no ${KERNEL_PACKAGE}: the guest’s kernel comes from Debian`);
  const version = name.replace(/^linux-image-/, '');
  const target = join(cacheDir(), 'qemu', name);
  if (!existsSync(join(target, 'lib', 'modules', version, 'modules.dep'))) {
    say(`getting ${name} (once)`);
    const temporary = `${target}.${process.pid}.tmp`;
    mkdirSync(temporary, { recursive: true });
    must('apt-get', ['download', '-q', '-o', 'APT::Sandbox::User=root', name], { cwd: temporary });
    const file = readdirSync(temporary).find((one) => one.endsWith('.deb'));
    must('dpkg-deb', ['-x', join(temporary, file), temporary]);
    rmSync(join(temporary, file));
    must('busybox', ['depmod', '-b', temporary, version]);
    rmSync(target, { recursive: true, force: true });
    renameSync(temporary, target);
  }
  return { version, image: join(target, 'boot', `vmlinuz-${version}`), modules: join(target, 'lib', 'modules', version) };
}

/** The guest's whole file system as one archive, not compressed: unpacking costs more than reading. */
function makeImage(kernel) {
  const root = join(folder, 'root');
  for (const name of ['proc', 'sys', 'dev', 'tmp', 'run', 'var', 'etc', 'root', 'guest', ...SYSTEM_FOLDERS.map((one) => join('usr', one))]) mkdirSync(join(root, name), { recursive: true });
  for (const name of SYSTEM_FOLDERS) symlinkSync(join('usr', name), join(root, name));
  symlinkSync('../run', join(root, 'var', 'run'));
  copyFileSync(findOnPath('busybox'), join(root, 'bin', 'busybox'));
  for (const applet of output('busybox', ['--list']).split('\n').filter((line) => line !== '')) symlinkIfFree('busybox', join(root, 'bin', applet));
  symlinkSync('../bin/busybox', join(root, 'sbin', 'modprobe'));
  const plugins = readdirSync('/usr/lib/ipsec/plugins').map((name) => join('/usr/lib/ipsec/plugins', name));
  copyWithLibraries([...PROGRAMS.map((program) => findOnPath(program)).filter((file) => file !== null), ...plugins], root);
  rmSync(join(root, 'bin', 'sh'), { force: true });
  symlinkSync('bash', join(root, 'bin', 'sh'));
  const modules = join(root, 'lib', 'modules', kernel.version);
  mkdirSync(join(modules, 'kernel', 'drivers', 'net'), { recursive: true });
  for (const name of MODULE_FOLDERS) must('cp', ['-a', join(kernel.modules, 'kernel', name), join(modules, 'kernel', name)]);
  for (const name of readdirSync(kernel.modules).filter((one) => one.startsWith('modules.'))) copyFileSync(join(kernel.modules, name), join(modules, name));
  compileTests(join(root, 'guest'));
  writeFileSync(join(root, 'etc', 'passwd'), 'root:x:0:0::/root:/bin/bash\n');
  writeFileSync(join(root, 'etc', 'group'), 'root:x:0:\n');
  writeFileSync(join(root, 'etc', 'strongswan.conf'), 'pki {\n  load = random pem pkcs1 pkcs8 pubkey x509 openssl\n}\n'); // all of them take it seconds
  writeFileSync(join(root, 'init'), INIT, { mode: 0o755 });
  writeFileSync(join(root, 'guest', 'suites'), suites.join(','));
  const image = join(folder, 'initrd');
  must('bash', ['-c', `cd ${root} && find . | cpio -o -H newc --quiet > ${image}`]);
  rmSync(root, { recursive: true, force: true });
  return image;
}

/** The tests as JavaScript, with the packages that they import, and our small stand-in for vitest. */
function compileTests(target) {
  const options = ['--noEmit', 'false', '--outDir', target, '--rootDir', ROOT, '--target', 'ES2023', '--lib', 'ES2023', '--types', 'node', '--module', 'NodeNext', '--moduleResolution', 'NodeNext'];
  const flags = ['--skipLibCheck', '--rewriteRelativeImportExtensions', '--allowImportingTsExtensions', '--noCheck', '--ignoreConfig'];
  must(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), ...options, ...flags, ...[ENTRY, ...STARTED].map((file) => join(ROOT, file))], { cwd: ROOT });
  must('bash', ['-c', `cd ${ROOT} && find src agent -name '*.mjs' | cpio -pdm --quiet ${target}`]);
  writeFileSync(join(target, 'package.json'), '{"type":"module"}\n');
  const standIn = join(target, 'node_modules', 'vitest');
  mkdirSync(standIn, { recursive: true });
  writeFileSync(join(standIn, 'package.json'), '{"name":"vitest","type":"module","exports":"./index.js"}\n');
  writeFileSync(join(standIn, 'index.js'), "export * from '../../test/qemu/vitest-in-guest.js';\n");
  const names = importedPackages(target).filter((name) => name !== 'vitest');
  for (const { name, folder: from } of packageClosure(names)) must('cp', ['-rL', from, targetOf(name, join(target, 'node_modules'))]);
}

/** Programs at their own paths, and the shared libraries that the dynamic linker would load for them. */
function copyWithLibraries(files, root) {
  const listing = spawnSync('ldd', files, { encoding: 'utf8' }).stdout;
  const libraries = [...listing.matchAll(/(?:=>\s+|^\s+)(\/\S+) \(0x/gm)].map(([, library]) => library);
  for (const file of new Set([...files, ...libraries])) {
    const target = join(root, file);
    mkdirSync(dirname(target), { recursive: true });
    rmSync(target, { force: true });
    copyFileSync(realpathSync(file), target);
  }
}

/** Resolves with the tests' lines and times; the guest ends itself, or is ended after LIMIT_MS. */
function runGuest(kernel, image) {
  const args = ['-accel', 'tcg,thread=multi', '-cpu', 'max', '-m', String(MEMORY_MB), '-smp', '2', '-nographic', '-no-reboot', '-net', 'none'];
  const append = 'console=ttyS0 quiet panic=1 mitigations=off tsc=reliable random.trust_cpu=on';
  const child = spawn('qemu-system-x86_64', [...args, '-kernel', kernel.image, '-initrd', image, '-append', append], { stdio: ['ignore', 'pipe', 'inherit'] });
  const end = (signal) => {
    child.kill('SIGKILL');
    process.exitCode = signal === 'SIGINT' ? 130 : 143;
  };
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => end(signal));
  const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
  const run = { preparedMs: Math.round(performance.now() - startedAtMs), kernel: kernel.version, bootSeconds: null, done: false, tests: [], log: [] };
  let rest = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (text) => {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop();
    for (const line of lines) readLine(line.trimEnd(), run);
  });
  return new Promise((resolve) => {
    child.on('close', () => {
      clearTimeout(limit);
      resolve(run);
    });
  });
}

function readLine(line, run) {
  const at = line.indexOf('@@');
  if (at < 0) {
    run.log.push(line);
    return;
  }
  const text = line.slice(at + 2);
  if (text.startsWith('boot ')) run.bootSeconds = Number(text.split(' ')[1]);
  if (!text.startsWith('{')) return;
  const result = JSON.parse(text);
  if (result.done) run.done = true;
  else {
    run.tests.push(result);
    if (!wantsJson) process.stdout.write(`${result.ok ? 'ok  ' : 'FAIL'} ${result.test} (${result.ms} ms)\n${result.error ? `${result.error.replaceAll(/^/gm, '       ')}\n` : ''}`);
  }
}

function report(run) {
  const failed = run.tests.filter((test) => !test.ok).length;
  const held = run.done && failed === 0 && run.tests.length > 0;
  const totalMs = Math.round(performance.now() - startedAtMs);
  if (!run.done) say(`the guest ended before its tests did; its last lines:\n${run.log.slice(-25).join('\n')}`);
  if (wantsJson) process.stdout.write(`${JSON.stringify({ schema: 'foremesh/qemu-xfrm/v1', held, kernel: run.kernel, preparedMs: run.preparedMs, bootSeconds: run.bootSeconds, totalMs, tests: run.tests }, null, 2)}\n`);
  else process.stdout.write(`${run.tests.length - failed} passed, ${failed + (run.done ? 0 : 1)} failed on kernel ${run.kernel}: ${(run.preparedMs / 1000).toFixed(1)} s to prepare, ${run.bootSeconds} s to boot, ${(totalMs / 1000).toFixed(1)} s in all\n`);
  return held ? 0 : 1;
}

function symlinkIfFree(target, link) {
  if (!existsSync(link)) symlinkSync(target, link);
}

function output(program, args) {
  const result = spawnSync(program, args, { encoding: 'utf8' });
  return result.status === 0 ? result.stdout : '';
}

function must(program, args, options = {}) {
  const result = spawnSync(program, args, { stdio: ['ignore', 2, 2], ...options });
  if (result.status !== 0) throw new BootstrapError(`${program} ${args.slice(0, 4).join(' ')} failed; its message is above`);
}
