import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildRuleset, readServices, rulesetKey } from '../../../agent/dataplane/index.ts';
import { runCommandText } from '../../../src/base/index.ts';
import { classId, siteId } from '../../../src/model/index.ts';
import { CONFIG, WANTED } from '../../agent/dataplane/support.ts';
import { inside, namespaceMachine } from './support.ts';

const NAMESPACE = 'fma-services';
const machine = namespaceMachine(NAMESPACE);
const BULK = { to: siteId('paris'), classId: classId('bulk') };
/** A host at paris. Its packets come in by `lo`, which is the LAN here. */
const HOST = '10.2.0.1';
/** As many as a set takes. */
const PORTS = 512;

/** The rules that count by destination port in a kernel, with the packets of one namespace. The steps build on each other. */
describe('counting by destination port', () => {
  const countsOf = async (): Promise<Map<string, number>> => new Map((await readServices(machine, [BULK])).map(({ service, count }) => [service, count]));
  const offered = async (): Promise<number> => {
    const listing = JSON.parse(await inside(NAMESPACE, 'nft', '-j', 'list', 'counter', 'inet', 'foremesh', 'o_paris__bulk')) as { nftables: { counter?: { packets: number } }[] };
    return listing.nftables.flatMap(({ counter }) => (counter ? [counter.packets] : []))[0]!;
  };
  /** Sends a datagram to each port, one after the other; how many of them arrived. */
  const datagrams = async (ports: readonly number[]): Promise<number> =>
    Number(
      await inside(
        NAMESPACE,
        process.execPath,
        '-e',
        `const d=require('dgram'),p=${JSON.stringify(ports)},s=d.createSocket('udp4');let n=0;Promise.all([...new Set(p)].map(port=>new Promise(done=>{const r=d.createSocket('udp4');r.on('message',()=>n++);r.bind(port,'${HOST}',done)}))).then(()=>{let i=0;const next=()=>{if(i<p.length)s.send('x',p[i++],'${HOST}',next);else setTimeout(()=>{console.log(n);process.exit()},300)};next()})`,
      ),
    );
  const connections = async (port: number, count: number): Promise<void> => {
    await inside(NAMESPACE, process.execPath, '-e', `const n=require('net'),s=n.createServer(c=>c.end('hello')).listen(${port},'${HOST}',()=>{let i=0;const next=()=>{if(i++===${count})return s.close();const c=n.connect(${port},'${HOST}');c.on('data',()=>c.write('more'));c.on('error',()=>{});c.on('close',next)};next()})`);
  };

  beforeAll(async () => {
    await runCommandText('ip', ['netns', 'add', NAMESPACE]);
    await inside(NAMESPACE, 'ip', 'link', 'set', 'lo', 'up');
    await inside(NAMESPACE, 'ip', 'addr', 'add', `${HOST}/32`, 'dev', 'lo');
    const config = { ...CONFIG, lan: { ...CONFIG.lan, interface: 'lo' }, countServices: true as const };
    const result = await machine.run('nft', ['-f', '-'], rulesetKey(buildRuleset({ ...WANTED, config })));
    expect(result.stderr).toBe('');
  });
  afterAll(async () => {
    await runCommandText('ip', ['netns', 'del', NAMESPACE]);
  });

  it('is of connections, however much goes through them, and of datagrams to ports that senders do not choose', async () => {
    await connections(8443, 7);
    expect(await datagrams([53, 53, 53, 40_000, 53])).toBe(5);
    expect(await countsOf()).toEqual(new Map([['tcp/8443', 7], ['udp/53', 4]]));
  });

  it('stops at new ports when the set is full: those that are known are counted on, and every packet passes', async () => {
    const others = Array.from({ length: PORTS + 100 }, (_, index) => 10_000 + index);
    const before = await offered();
    expect(await datagrams([...others, 53])).toBe(others.length + 1);
    expect(await datagrams([others.at(-1)!, others.at(-1)!])).toBe(2); // of a port that is not counted
    expect(await offered()).toBe(before + others.length + 3);
    const counts = await countsOf();
    expect(counts.size).toBe(PORTS);
    expect(counts.get('udp/53')).toBe(5);
    expect(counts.has(`udp/${others.at(-1)!}`)).toBe(false);
    await connections(8443, 3);
    expect((await countsOf()).get('tcp/8443')).toBe(10);
  });
});
