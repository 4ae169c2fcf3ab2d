import { describe, expect, it } from 'vitest';
import { buildRuleset, clearChanges, driverOf, type Observed, planChanges, queuedFlows, rateText, readQueues, shapingChain } from '../../../agent/dataplane/index.ts';
import type { DataplaneWanted } from '../../../agent/ports.ts';
import { classId, type NodeConfig, siteId } from '../../../src/model/index.ts';
import { bareMachine, CONFIG, kernelAfter, T1, T2, WANTED } from './support.ts';

const [VOICE, BULK] = [classId('voice'), classId('bulk')];
const shapingOf = (fibreKbps: number): NonNullable<NodeConfig['shaping']> =>
  [['fibre', fibreKbps], ['dsl', 9_500]].map(([uplink, rateKbps]) => ({ uplink: uplink as string, rateKbps: rateKbps as number, classes: [{ id: VOICE, rateKbps: 2000, priority: 0 }, { id: BULK, rateKbps: 475, priority: 1 }] }));
const tunnels = [T1, T2].map((id, index) => ({ id, local: { interface: `isp${index + 1}` }, remote: { overlay: '172.30.0.1' } })) as unknown as NodeConfig['tunnels'];
const shaped = (fibreKbps = 47_500): DataplaneWanted => ({ ...WANTED, config: { ...CONFIG, tunnels, shaping: shapingOf(fibreKbps) } });

/** `tc` lines of an apply, and the kernel after it. */
function tc(wanted: DataplaneWanted, before: Observed, driver: 'libipsec' | 'xfrm' = 'libipsec'): { lines: string[]; kernel: Observed } {
  const commands = planChanges(wanted, before, null, [], driverOf(driver)).queues.flatMap((change) => change.commands);
  return { lines: commands.map((command) => (command.do === 'tc' ? command.line : command.do)), kernel: commands.reduce(kernelAfter, before) };
}

describe('queues by class', () => {
  const made = tc(shaped(), bareMachine());

  it('divide each uplink on charon’s device, ESP counted, and bound what waits to 100 ms', () => {
    expect(made.lines).toEqual([
      'qdisc replace dev ipsec0 root handle fa00: htb default 0',
      'class replace dev ipsec0 parent fa00: classid fa00:100 htb rate 47500Kbit ceil 47500Kbit burst 29688 cburst 29688 quantum 3028 overhead 64',
      'class replace dev ipsec0 parent fa00:100 classid fa00:101 htb rate 2Mbit ceil 47500Kbit burst 29688 cburst 29688 quantum 3028 overhead 64 prio 0',
      'qdisc replace dev ipsec0 parent fa00:101 fq_codel limit 5938 memory_limit 2375000',
      'class replace dev ipsec0 parent fa00:100 classid fa00:102 htb rate 475Kbit ceil 47500Kbit burst 29688 cburst 29688 quantum 3028 overhead 64 prio 1',
      'qdisc replace dev ipsec0 parent fa00:102 fq_codel limit 5938 memory_limit 2375000',
      'class replace dev ipsec0 parent fa00: classid fa00:200 htb rate 9500Kbit ceil 9500Kbit burst 5938 cburst 5938 quantum 3028 overhead 64',
      'class replace dev ipsec0 parent fa00:200 classid fa00:201 htb rate 2Mbit ceil 9500Kbit burst 5938 cburst 5938 quantum 3028 overhead 64 prio 0',
      'qdisc replace dev ipsec0 parent fa00:201 fq_codel limit 1188 memory_limit 475000',
      'class replace dev ipsec0 parent fa00:200 classid fa00:202 htb rate 475Kbit ceil 9500Kbit burst 5938 cburst 5938 quantum 3028 overhead 64 prio 1',
      'qdisc replace dev ipsec0 parent fa00:202 fq_codel limit 1188 memory_limit 475000',
    ]);
    expect(made.kernel.shaping?.qdiscs.find(({ parent }) => parent === 'fa00:101')).toMatchObject({ kind: 'bfifo', limit: 593_750 }); // on a kernel without fq_codel
  });

  it('are none to make when they are there, and only what differs is changed', () => {
    expect(tc(shaped(), made.kernel).lines).toEqual([]);
    expect(tc(shaped(48_000), made.kernel).lines).toEqual([
      'class replace dev ipsec0 parent fa00: classid fa00:100 htb rate 48Mbit ceil 48Mbit burst 30000 cburst 30000 quantum 3028 overhead 64',
      'class replace dev ipsec0 parent fa00:100 classid fa00:101 htb rate 2Mbit ceil 48Mbit burst 30000 cburst 30000 quantum 3028 overhead 64 prio 0',
      'qdisc replace dev ipsec0 parent fa00:101 fq_codel limit 6000 memory_limit 2400000',
      'class replace dev ipsec0 parent fa00:100 classid fa00:102 htb rate 475Kbit ceil 48Mbit burst 30000 cburst 30000 quantum 3028 overhead 64 prio 1',
      'qdisc replace dev ipsec0 parent fa00:102 fq_codel limit 6000 memory_limit 2400000',
    ]);
  });

  it('go where they are not wanted any more: a class, an uplink, all of them, and at the end', () => {
    const [fibre, dsl] = shapingOf(47_500);
    const lessOf = (shaping: NodeConfig['shaping']): string[] => tc({ ...shaped(), config: { ...shaped().config, ...(shaping ? { shaping } : {}) } }, made.kernel).lines;
    expect(lessOf([{ ...fibre!, classes: fibre!.classes.slice(0, 1) }, dsl!])).toEqual(['class del dev ipsec0 classid fa00:102']);
    expect(lessOf([fibre!])).toEqual(['class del dev ipsec0 classid fa00:201', 'class del dev ipsec0 classid fa00:202', 'class del dev ipsec0 classid fa00:200']);
    expect(tc(WANTED, made.kernel).lines).toEqual(['qdisc del dev ipsec0 root']);
    const cleared = clearChanges(made.kernel).flat().flatMap((change) => change.commands);
    expect(cleared.filter((command) => command.do === 'tc')).toEqual([{ do: 'tc', line: 'qdisc del dev ipsec0 root', otherwise: null }]);
  });

  it('wait for charon’s device, and leave queues that are not ours alone', () => {
    expect(tc(shaped(), bareMachine(false)).lines).toEqual([]);
    const others = { ...bareMachine(), shaping: { qdiscs: [{ device: 'isp1', kind: 'htb', handle: '1:', parent: null, limit: null }], classes: [] } };
    expect(tc(WANTED, others).lines).toEqual([]);
  });

  it('are at each uplink itself where the kernel encrypts', () => {
    const { lines } = tc(shaped(), bareMachine(), 'xfrm');
    expect(lines.filter((line) => line.includes(' root '))).toEqual(['qdisc replace dev isp1 root handle fa00: htb default 0', 'qdisc replace dev isp2 root handle fa00: htb default 0']);
    expect(lines.find((line) => line.includes('classid fa00:201'))).toBe('class replace dev isp2 parent fa00:200 classid fa00:201 htb rate 2Mbit ceil 9500Kbit burst 5938 cburst 5938 quantum 3028 overhead 0 prio 0');
  });

  it('are chosen by class and the tunnel’s uplink, for what is forwarded only', () => {
    expect(shapingChain(shaped())).toEqual([
      {
        name: 'shape',
        lines: [
          'type filter hook postrouting priority 0; policy accept;',
          `oifname "t-*" meta mark != 0 udp dport { 5000-5099, 6000 } ip dscp { 46 } meta priority set meta oifname map { "${T1}" : fa00:101, "${T2}" : fa00:201 } accept`,
          `oifname "t-*" meta mark != 0 meta priority set meta oifname map { "${T1}" : fa00:102, "${T2}" : fa00:202 } accept`,
        ],
      },
    ]);
    expect(shapingChain(WANTED)).toEqual([]);
  });

  it('know a class by mark by the lanes it was given, for the mark is gone', () => {
    const [voice, bulk] = CONFIG.classes;
    const byMark = { ...voice!, match: [{ protocol: 'any' as const, ports: [], dscp: [], fwmark: 16 }] };
    const wanted = { ...shaped(), config: { ...shaped().config, classes: [byMark, bulk!] } };
    expect(shapingChain(wanted)[0]!.lines[1]).toMatch(/^oifname "t-\*" meta mark != 0 meta mark \{ 0x3ea \} meta priority set /); // 1002, voice's lane
    expect(shapingChain({ ...wanted, steering: [] })[0]!.lines).toHaveLength(2); // without lanes nothing of it is sent
  });

  it('come after what hosts offer was counted: what they drop is in the count', () => {
    const { chains } = buildRuleset(shaped());
    const baseOf = (line: string): string => chains.find(({ lines }) => lines.includes(line))!.lines[0]!;
    const counting = chains.filter(({ lines }) => lines.some((line) => line.includes('counter name "o_')));
    expect(counting.map(({ name }) => name)).toEqual(['c_paris__voice', 'c_paris__bulk']);
    for (const { lines } of counting) expect(lines[0]).toMatch(/^iifname "lan" counter name "o_\w+"$/); // before anything else is done with the packet
    const waysTo = (name: string): string[] => chains.filter(({ lines }) => lines.some((line) => new RegExp(`(?:goto|jump) ${name}\\b`).test(line))).map((chain) => chain.name);
    expect(counting.map(({ name }) => waysTo(name))).toEqual([['to_paris'], ['to_paris']]);
    expect(waysTo('to_paris')).toEqual(['prerouting']);
    expect(chains.find(({ name }) => name === 'prerouting')!.lines[0]).toBe('type filter hook prerouting priority -150; policy accept;');
    const [, queueing] = chains.find(({ name }) => name === 'shape')!.lines;
    expect(baseOf(queueing!)).toMatch(/hook postrouting/); // the kernel hands a packet to queues behind its last hook
  });

  it('are known by the flows that are led into them: by lane, weight and copy as they are now', () => {
    const paris = siteId('paris');
    expect(queuedFlows(shaped())).toEqual([
      { to: paris, classId: VOICE, uplink: 'dsl', share: 1, copyUplink: null },
      { to: paris, classId: BULK, uplink: 'fibre', share: 0.6, copyUplink: null },
      { to: paris, classId: BULK, uplink: 'dsl', share: 0.4, copyUplink: null },
    ]);
    const lanes = [{ mark: 1001, prefixes: [], active: T1, copy: T2 }, { mark: 1002, prefixes: [], active: null }];
    expect(queuedFlows({ ...shaped(), lanes })).toEqual([{ to: paris, classId: BULK, uplink: 'fibre', share: 0.6, copyUplink: 'dsl' }]);
    expect(queuedFlows(WANTED)).toEqual([]);
  });

  it('tell what they let through and dropped, bytes by the mean size of what went through', () => {
    const counts = [{ device: 'ipsec0', parent: 'fa00:101', drops: 4, packets: 10, bytes: 5000 }, { device: 'ipsec0', parent: 'fa00:202', drops: 1, packets: 0, bytes: 0 }, { device: 'ipsec0', parent: null, drops: 9, packets: 9, bytes: 9 }];
    expect(readQueues(shaped().config, driverOf('libipsec').shaperPlace, counts)).toEqual([
      { uplink: 'fibre', classId: VOICE, sentPackets: 10, droppedPackets: 4, droppedBytes: 2000 },
      { uplink: 'dsl', classId: BULK, sentPackets: 0, droppedPackets: 1, droppedBytes: 1514 },
    ]);
  });

  it('DSCP is rewritten where a packet comes from a host, and nowhere else', () => {
    const [voice, bulk] = CONFIG.classes;
    const rewriting = { ...WANTED, config: { ...CONFIG, classes: [{ ...voice!, dscp: 46 }, bulk!] } };
    const lines = buildRuleset(rewriting).chains.find(({ name }) => name === 'c_paris__voice')!.lines;
    expect(lines[1]).toBe('iifname "lan" ip dscp set 46');
  });

  it.each([[16, '16Kbit'], [10_000, '10Mbit'], [47_500, '47500Kbit'], [999_999, '999999Kbit'], [1_000_000, '1Gbit'], [1_234_567, '1234Mbit'], [1_500_000, '1500Mbit']])('%d kbit/s is written as tc prints it, %s', (kbps, text) => {
    expect(rateText(kbps)).toBe(text);
  });
});
