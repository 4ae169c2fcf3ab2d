// `npm run package [-- --out DIR]`: foremesh-agent_VERSION_all.deb, the agent with all it needs but Node, strongSwan, iproute2
// and nftables. Needs dpkg-deb. The same commit gives the same bytes. Prints the file's path.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, lutimesSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { BootstrapError, ROOT, ensureBuild, ensureDependencies, findOnPath, say } from './bootstrap.mjs';
import { filesIn, importedPackages, packageClosure, targetOf } from './npm-closure.mjs';

const LIBRARY = 'usr/lib/foremesh';
/** What the agent imports of ours; it knows no engine (test/architecture.test.ts). */
const COMPILED = ['agent', 'src/base', 'src/model'];
const DOCS = ['agent.md', 'data-path.md', 'failover.md', 'errors.md'];
const { version, license } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

const CONTROL = `Package: foremesh-agent
Version: ${version}
Architecture: all
Maintainer: Foremesh <maintainers@foremesh.example>
Section: net
Priority: optional
Depends: nodejs (>= 20.19), iputils-ping, charon-systemd | strongswan-charon, libstrongswan-standard-plugins, iproute2, nftables, adduser | systemd
Recommends: conntrack, libcharon-extra-plugins
Homepage: https://foremesh.example
Description: endpoint agent of an IPsec mesh
 Keeps tunnels, routes, probes and fail-over of one gateway as a signed plan
 says, with or without the engine that made the plan. Speaks to strongSwan,
 nftables and the kernel; needs CAP_NET_ADMIN and nothing else.
`;
const POSTINST = `#!/bin/sh
set -e
if [ "$1" = configure ]; then
  if command -v systemd-sysusers >/dev/null; then systemd-sysusers foremesh.conf
  elif ! getent passwd foremesh >/dev/null; then adduser --system --group --home /var/lib/foremesh --no-create-home foremesh; fi
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    # a restart loses no packet; a first start waits for \`foremesh-agent install\`
    systemctl try-restart foremesh-agent.service || true
  fi
fi
`;
const PRERM = `#!/bin/sh
set -e
# forwarding stays as it is; \`foremesh-agent --config FILE --clear\` takes it away
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then systemctl disable --now foremesh-agent.service || true; fi
`;
const POSTRM = `#!/bin/sh
set -e
if [ "$1" = purge ]; then rm -rf /var/lib/foremesh /etc/foremesh; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
`;

const work = mkdtempSync(join(tmpdir(), 'foremesh-package-'));
let exitCode = 2;
try {
  if (!findOnPath('dpkg-deb')) throw new BootstrapError('dpkg-deb is needed: build on Debian or Ubuntu');
  ensureDependencies();
  ensureBuild();
  const at = process.argv.indexOf('--out');
  const out = resolve(at < 0 ? join(ROOT, 'dist') : process.argv[at + 1]);
  mkdirSync(out, { recursive: true });
  process.stdout.write(`${await buildPackage(out)}\n`);
  exitCode = 0;
} catch (error) {
  if (!(error instanceof BootstrapError)) throw error;
  say(error.message);
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.exit(exitCode);

async function buildPackage(out) {
  const root = join(work, 'root');
  const put = (path, text, mode = 0o644) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    chmodSync(join(root, path), mode);
  };
  const copy = (from, to) => cpSync(join(ROOT, from), join(root, to), { recursive: true, dereference: true });

  const { AGENT_NODE_FLAGS } = await import('../dist/agent/ports.js'); // the lab measures what is shipped
  for (const folder of COMPILED) copy(`dist/${folder}`, `${LIBRARY}/dist/${folder}`);
  put(`${LIBRARY}/package.json`, `${JSON.stringify({ name: 'foremesh-agent', version, license, type: 'module', private: true }, null, 2)}\n`);
  const names = importedPackages(join(root, LIBRARY, 'dist'));
  const packages = packageClosure(names);
  for (const { name, folder } of packages) cpSync(folder, targetOf(name, join(root, LIBRARY, 'node_modules')), { recursive: true, dereference: true });
  for (const file of filesIn(join(root, LIBRARY)).filter((one) => /\.(?:map|d\.[cm]?ts|md)$/.test(one) && !/licen[cs]e/i.test(one))) rmSync(file);
  copy('packaging', `${LIBRARY}/packaging`);
  rmSync(join(root, LIBRARY, 'packaging', 'foremesh-engine.service'));
  copy('packaging/foremesh-agent.service', 'usr/lib/systemd/system/foremesh-agent.service');
  copy('packaging/sysusers.d/foremesh.conf', 'usr/lib/sysusers.d/foremesh.conf');
  copy('packaging/strongswan.d/foremesh.conf', 'etc/strongswan.d/foremesh.conf');
  put('usr/bin/foremesh-agent', `#!/bin/sh\nexec node ${AGENT_NODE_FLAGS.join(' ')} /${LIBRARY}/dist/agent/main.js "$@"\n`, 0o755);
  for (const name of DOCS) copy(`docs/${name}`, `usr/share/doc/foremesh-agent/${name}`);
  copy('CHANGELOG.md', 'usr/share/doc/foremesh-agent/CHANGELOG.md');
  put('usr/share/doc/foremesh-agent/copyright', copyrightOf(packages));

  setModes(root);
  put('DEBIAN/control', `${CONTROL}Installed-Size: ${Math.ceil(filesIn(root).reduce((sum, file) => sum + statSync(file).size, 0) / 1024)}\n`);
  put('DEBIAN/conffiles', '/etc/strongswan.d/foremesh.conf\n');
  put('DEBIAN/postinst', POSTINST, 0o755);
  put('DEBIAN/prerm', PRERM, 0o755);
  put('DEBIAN/postrm', POSTRM, 0o755);
  const date = commitSeconds();
  setTimes(root, date);
  const file = join(out, `foremesh-agent_${version}_all.deb`);
  const result = spawnSync('dpkg-deb', ['--root-owner-group', '-Zgzip', '--build', root, file], { stdio: ['ignore', 2, 2], env: { ...process.env, SOURCE_DATE_EPOCH: String(date) } });
  if (result.status !== 0) throw new BootstrapError('dpkg-deb failed; its message is above');
  return file;
}

/** Every package that travels along, with the licence that it names. */
function copyrightOf(packages) {
  const lines = packages.map(({ name, folder }) => {
    const own = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    return `  ${name} ${own.version}: ${typeof own.license === 'string' ? own.license : 'see its files'}`;
  });
  return `Foremesh: ${license}, see /usr/share/common-licenses/Apache-2.0.\n\nIt carries these npm packages, whose licence files lie with them in /${LIBRARY}/node_modules:\n${lines.join('\n')}\n`;
}

/** Nothing is writable or executable that need not be, whatever the umask of who builds. */
function setModes(path) {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const at = join(path, entry.name);
    if (entry.isDirectory()) setModes(at);
    chmodSync(at, entry.isDirectory() || at.endsWith('/usr/bin/foremesh-agent') ? 0o755 : 0o644);
  }
}

function setTimes(path, seconds) {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) setTimes(join(path, entry.name), seconds);
    lutimesSync(join(path, entry.name), seconds, seconds);
  }
  lutimesSync(path, seconds, seconds);
}

function commitSeconds() {
  const { stdout } = spawnSync('git', ['-C', ROOT, 'log', '-1', '--format=%ct'], { encoding: 'utf8' });
  return Number(process.env.SOURCE_DATE_EPOCH ?? stdout.trim()) || 0;
}
