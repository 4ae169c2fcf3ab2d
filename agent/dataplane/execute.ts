import { type Clock, ForemeshError, messageOf } from '../../src/base/index.ts';
import type { Change, Command, Phases } from './commands.ts';
import { listenersCaughtUp } from './event-backlog.ts';
import type { Machine } from './machine.ts';
import { notifySysctls } from './names.ts';

/** Lines of one `ip -batch`. Between two of them all who hear of the changes are waited for. */
const LINES_MAX = 40;

/**
 * Does the phases in order and gives the lines of what was changed.
 * @throws ForemeshError DATAPLANE_FAILED with every command that failed, after the phase it is in; later phases are not begun
 */
export async function execute(phases: Phases, machine: Machine, clock: Clock): Promise<string[]> {
  const said: string[] = [];
  for (const phase of phases) {
    if (phase.length === 0) continue;
    const failures = await executePhase(phase, machine, clock);
    if (failures.length > 0) {
      throw new ForemeshError('DATAPLANE_FAILED', {
        what: `${failures.length} command${failures.length === 1 ? '' : 's'} failed: ${failures.slice(0, 5).join('; ')}`.slice(0, 1500),
        fix: 'read the message; what stood before still stands, and it is tried again',
      });
    }
    said.push(...phase.map((change) => change.says));
  }
  return said;
}

/** Neighbouring `ip` lines of a family go to one process, or to a few where they are many. */
async function executePhase(phase: readonly Change[], machine: Machine, clock: Clock): Promise<string[]> {
  const failures: string[] = [];
  const commands = phase.flatMap((change) => change.commands);
  let lines: string[] = [];
  let family: 'ipv6' | undefined;
  const flush = async (): Promise<void> => {
    failures.push(...(await runPaced(lines, machine, family, clock)));
    lines = [];
  };
  for (const command of commands) {
    if (command.do !== 'ip') {
      await flush();
      failures.push(...(await runOne(command, machine)));
      continue;
    }
    if (command.family !== family) await flush();
    family = command.family;
    lines.push(command.line);
  }
  await flush();
  return failures;
}

async function runPaced(lines: readonly string[], machine: Machine, family: 'ipv6' | undefined, clock: Clock): Promise<string[]> {
  const failures: string[] = [];
  for (let from = 0; from < lines.length; from += LINES_MAX) {
    if (from > 0) await listenersCaughtUp(machine, clock);
    failures.push(...(await runIpLines(lines.slice(from, from + LINES_MAX), machine, family)));
  }
  return failures;
}

const DELETION = /^(?:route|rule|link|addr) del /;
/** What the kernel says when the thing to be deleted is gone already, e.g. routes with charon's device: all the better. */
const GONE = /No such process|No such file or directory|Cannot find device|Cannot assign requested address/;

async function runIpLines(lines: readonly string[], machine: Machine, family?: 'ipv6'): Promise<string[]> {
  if (lines.length === 0) return [];
  const result = await machine.run('ip', [...(family ? ['-6'] : []), '-force', '-batch', '-'], `${lines.join('\n')}\n`);
  if (result.exitCode === 0) return [];
  // "RTNETLINK answers: File exists" then "Command failed -:3"
  const failures: string[] = [];
  let reason = '';
  if (!result.stderr.includes('Command failed')) return [`ip -batch: ${result.stderr.trim()}`];
  for (const line of result.stderr.split('\n')) {
    const failed = /^Command failed -:(\d+)/.exec(line);
    const command = lines[Number(failed?.[1] ?? 0) - 1] ?? '';
    if (failed && !(DELETION.test(command) && GONE.test(reason))) failures.push(`ip ${command}: ${reason.trim()}`);
    reason = failed ? '' : `${reason} ${line}`;
  }
  return failures;
}

async function runOne(command: Exclude<Command, { do: 'ip' }>, machine: Machine): Promise<string[]> {
  if (command.do === 'nft') {
    for (const transaction of command.transactions) {
      const result = await machine.run('nft', ['-f', '-'], transaction);
      if (result.exitCode !== 0) return [`nft: ${result.stderr.trim().slice(0, 600)}`];
    }
    return [];
  }
  if (command.do === 'tc') return runTcLine(command.line, command.otherwise, machine);
  if (command.do === 'sysctl') return setSysctl(command.name, command.value, machine);
  return announce(command.interface, command.mac, machine);
}

async function runTcLine(line: string, otherwise: string | null, machine: Machine): Promise<string[]> {
  const result = await machine.run('tc', line.split(' '));
  if (result.exitCode === 0) return [];
  if (otherwise !== null && /kind is unknown/.test(result.stderr)) return runTcLine(otherwise, null, machine);
  if (/^(?:qdisc|class) del /.test(line) && GONE.test(result.stderr)) return [];
  return [`tc ${line}: ${result.stderr.trim().slice(0, 300)}`];
}

/**
 * Makes the kernel itself send gratuitous ARP and unsolicited neighbour advertisements (override flag set, RFC 4861
 * section 7.2.6): with `arp_notify` and `ndisc_notify` it does so when an interface's MAC is set, also to the value it
 * has. No other program is needed, and it names the addresses that are there.
 */
async function announce(interfaceName: string, mac: string, machine: Machine): Promise<string[]> {
  const names = notifySysctls(interfaceName);
  const known = await Promise.all(names.map((name) => machine.readSysctl(name))); // a kernel without IPv6 has only the first
  const failures = (await Promise.all(names.filter((_name, index) => known[index] !== null).map((name) => setSysctl(name, '1', machine)))).flat();
  return [...failures, ...(await runIpLines([`link set ${interfaceName} address ${mac}`], machine))];
}

async function setSysctl(name: string, value: string, machine: Machine): Promise<string[]> {
  try {
    await machine.writeSysctl(name, value);
    return [];
  } catch (cause) {
    return [`${name} = ${value}: ${messageOf(cause)}`];
  }
}
