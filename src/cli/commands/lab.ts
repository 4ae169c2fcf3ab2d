import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Option, type Command } from 'commander';
import { FindingsError, ForemeshError, parseDurationMs, parseRatio } from '../../base/index.ts';
import { loadIntent, readConfigFolder } from '../../intent/index.ts';
import { labDown, labFault, labStatus, labTraffic, labUp, listLabs, type LabStatus, type PathProfile } from '../../lab/index.ts';
import { classId, nodeId, siteId, type PathId } from '../../model/index.ts';
import { findOpa, readPolicyFolder } from '../../policy/index.ts';
import { endSignal } from '../end-signal.ts';
import { packageRoot } from '../package-root.ts';
import { outputOption, type CommonOptions } from '../options.ts';
import { colors, printResult, renderTable, tell } from '../output.ts';

interface FaultOptions extends CommonOptions {
  lab?: string;
  delay?: string;
  jitter?: string;
  loss?: string;
  bandwidth?: string;
  mtu?: string;
  down?: boolean;
  up?: boolean;
  direction: 'both' | 'forward' | 'reverse';
}

/** `foremesh lab …`: a real mesh in network namespaces of this machine, from any mesh repository. */
export function addLabCommand(program: Command): void {
  const lab = program.command('lab').description('a real mesh in network namespaces of this machine (Linux, root)');
  addUp(lab);
  addStatus(lab);
  addFault(lab);
  addTraffic(lab);
  lab
    .command('down')
    .argument('[lab]', 'which one, when there are several')
    .option('--all', 'all labs of this machine')
    .description('end its processes, remove its namespaces and files')
    .addOption(outputOption())
    .action(async (id: string | undefined, options: CommonOptions & { all?: boolean }) => {
      const gone = await labDown(id, options.all ?? false);
      printResult(options.output, { schema: 'foremesh/lab-down/v1', labs: gone }, () => (gone.length > 0 ? `took down ${gone.join(', ')}` : 'no lab was up'));
    });
}

function addUp(lab: Command): void {
  lab
    .command('up')
    .argument('[dir]', 'mesh repository to build', packageRoot())
    .description('build the mesh: namespaces, emulated WAN, a daemon and an agent per gateway, an engine')
    .option('--seed <text>', 'of the WAN’s jitter and loss')
    .addOption(outputOption())
    .action(async (dir: string, options: CommonOptions & { seed?: string }) => {
      const root = resolve(dir);
      const files = await readConfigFolder(root);
      const loaded = loadIntent(files, null);
      if (!loaded.ok) throw new FindingsError(loaded.findings);
      const signers = await readFile(`${root}/mesh-config/allowed_signers`, 'utf8').catch(() => null); // the lab adds its operator's anyway
      const world = await labUp({
        intent: loaded.value.intent,
        repository: { files: [...files, ...(await readPolicyFolder(root)), ...(signers === null ? [] : [{ file: 'mesh-config/allowed_signers', text: signers }])] },
        opa: await findOpa(),
        onStep: tell,
        signal: endSignal(),
        ...(options.seed ? { seed: options.seed } : {}),
      });
      const status = await labStatus(world.id);
      printResult(options.output, { ...status }, () =>
        [`lab ${status.id} is up: ${status.gateways.length} gateways, ${status.hosts.length} hosts`, '', `export FOREMESH_STATE=${status.engineStateDir}   # then: foremesh status`, `git clone ${status.forgeDir}`, `foremesh lab status ${status.id}`, `foremesh lab down ${status.id}`].join('\n'),
      );
    });
}

function addStatus(lab: Command): void {
  lab
    .command('status')
    .argument('[lab]', 'which one, when there are several')
    .description('what runs, which tunnels stand, what the WAN saw')
    .addOption(outputOption())
    .action(async (id: string | undefined, options: CommonOptions) => {
      const labs = await listLabs();
      if (labs.length === 0) return printResult(options.output, { schema: 'foremesh/lab-status/v1', labs: [] }, () => 'no lab is up; foremesh lab up makes one');
      const status = await labStatus(id);
      printResult(options.output, { ...status }, () => renderLabStatus(status));
    });
}

function renderLabStatus(status: LabStatus): string {
  return [
    `lab ${status.id}   export FOREMESH_STATE=${status.engineStateDir}`,
    renderTable(['gateway', 'namespace', 'generation', 'tunnels'], status.gateways.map((gateway) => [gateway.node, gateway.namespace, gateway.runtime?.generation ?? colors.red('agent not running'), gateway.tunnels.map((tunnel) => `${tunnel.tunnel} ${tunnel.childState ?? tunnel.ikeState}`).join(', ') || null])),
    renderTable(['host of', 'namespace', 'address'], status.hosts.map((host) => [host.site, host.namespace, host.address])),
    renderTable(['process', 'pid', 'alive'], status.processes.map((process) => [process.role, process.pid, process.alive ? 'yes' : colors.red('no')])),
  ].join('\n\n');
}

function addFault(lab: Command): void {
  lab
    .command('fault')
    .argument('<what>', 'a path (uplink~uplink), or kill:KIND:NODE, restart:KIND:NODE with KIND engine, agent or daemon')
    .description('break or change something: a path of the WAN, or a process')
    .option('--mtu <bytes>', 'drop packets that are larger, silently')
    .option('--down', 'drop everything, silently')
    .option('--up', 'carry packets again')
    .option('--delay <duration>', 'one way')
    .option('--jitter <duration>', 'plus or minus')
    .option('--loss <percent>', 'e.g. 5%')
    .option('--bandwidth <Mbps>', 'e.g. 10')
    .addOption(new Option('--direction <direction>', 'of the path, forward from the lesser uplink').choices(['both', 'forward', 'reverse']).default('both'))
    .option('--lab <id>', 'which lab, when there are several')
    .addOption(outputOption())
    .action(async (what: string, options: FaultOptions) => {
      const process = /^(kill|restart):(engine|agent|daemon)(?::([a-z0-9-]+))?$/.exec(what);
      if (process) {
        const kind = process[2] as 'engine' | 'agent' | 'daemon';
        await labFault(options.lab, { kind: process[1] as 'kill' | 'restart', what: kind === 'engine' ? { kind } : { kind, node: nodeId(process[3] ?? '') } });
      } else {
        await labFault(options.lab, { kind: 'path', path: what as PathId, profile: profileOf(options), direction: options.direction });
      }
      printResult(options.output, { schema: 'foremesh/lab-fault/v1', what }, () => `done: ${what}`);
    });
}

function profileOf(options: FaultOptions): Partial<PathProfile> {
  const quantity = (text: string, value: number | null, example: string): number => {
    if (value === null || Number.isNaN(value)) throw new ForemeshError('CLI_USAGE', { what: `"${text}" is not understood`, fix: `write it like ${example}` });
    return value;
  };
  return {
    ...(options.mtu === undefined ? {} : { mtuBytes: quantity(options.mtu, Number(options.mtu), '1400') }),
    ...(options.down ? { down: true } : {}),
    ...(options.up ? { down: false } : {}),
    ...(options.delay ? { delayMs: quantity(options.delay, parseDurationMs(options.delay), '80ms') } : {}),
    ...(options.jitter ? { jitterMs: quantity(options.jitter, parseDurationMs(options.jitter), '5ms') } : {}),
    ...(options.loss ? { lossRatio: quantity(options.loss, parseRatio(options.loss), '5%') } : {}),
    ...(options.bandwidth ? { bandwidthMbps: quantity(options.bandwidth, Number(options.bandwidth), '10') } : {}),
  };
}

function addTraffic(lab: Command): void {
  lab
    .command('traffic')
    .argument('<from>', 'site')
    .argument('<to>', 'site')
    .description('send UDP from a host of one site to a host of another and count at the receiver')
    .option('--class <name>', 'for the report only; the port decides', 'bulk')
    .option('--port <port>', 'destination port', '9000')
    .option('--mbps <rate>', 'constant rate', '1')
    .option('--flows <count>', 'different source ports', '8')
    .option('--for <duration>', 'how long', '10s')
    .option('--lab <id>', 'which lab, when there are several')
    .addOption(outputOption())
    .action(async (from: string, to: string, options: CommonOptions & { class: string; port: string; mbps: string; flows: string; for: string; lab?: string }) => {
      const durationMs = parseDurationMs(options.for);
      if (durationMs === null) throw new ForemeshError('CLI_USAGE', { what: `"${options.for}" is not a duration`, fix: 'write it like 10s' });
      const spec = { name: 'cli', from: siteId(from), to: siteId(to), classId: classId(options.class), port: Number(options.port), flows: Number(options.flows), packetBytes: 1000, rate: { kind: 'constant', mbps: Number(options.mbps) } } as const;
      const report = await labTraffic(options.lab, spec, durationMs, (now) => tell(`${now.mbps.toFixed(2)} Mbit/s, ${now.lost} lost`), endSignal());
      printResult(options.output, { schema: 'foremesh/lab-traffic/v1', ...report }, () => `${report.received} of ${report.sent} packets received, ${report.lost} lost, ${report.duplicated} duplicated, longest silence ${report.longestGapMs.toFixed(0)} ms`);
    });
}
