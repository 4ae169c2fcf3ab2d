import { type ChildProcess, spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DataplaneWanted } from '../../../agent/ports.ts';
import { build } from '../world/built.ts';
import { establish, type Gateway, inside, type Pair, sendDatagrams, sentPerTunnel, startPair, until, wantedOf } from './support.ts';

const OWN_RESOLVER = '10.91.0.1';
const FAR_RESOLVER = '10.92.0.10';
const NAMED = '10.92.0.77';
const NAMED_TOO = '10.92.0.78';

/** A class by host name between two gateways: who knows which address a name has, and what happens when nobody learns. The steps build on each other. */
describe('a class that is told by host name', () => {
  let pair: Pair;
  let agent: ChildProcess;
  const running: ChildProcess[] = [];
  const start = (namespace: string, args: readonly string[], stdin = ''): ChildProcess => {
    const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, ...args], { stdio: ['pipe', 'ignore', 'inherit'] });
    child.stdin.end(stdin);
    running.push(child);
    return child;
  };
  beforeAll(async () => {
    await build();
    pair = await startPair();
    await establish(pair);
    for (const gateway of [pair.b, pair.a]) await gateway.dataplane.apply(gateway === pair.a ? byName(gateway) : wantedOf('b'));
    for (const address of [NAMED, NAMED_TOO]) await inside(pair.b.hostNamespace, 'ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    start(pair.b.hostNamespace, ['-e', resolverScript(FAR_RESOLVER)]);
    start(pair.a.namespace, ['-e', resolverScript(OWN_RESOLVER)]);
    agent = start(pair.a.namespace, [join(import.meta.dirname, 'learn-names.mjs'), resolve(import.meta.dirname, '../../..')], JSON.stringify(byName(pair.a).config));
    await until(async () => (await members(pair.a, 'diverted')).includes(FAR_RESOLVER));
  });
  afterAll(async () => {
    for (const child of running) child.kill('SIGKILL');
    await pair?.close();
  });

  it('has its lane from the first packet after an answer out of a tunnel; the host sees its resolver', async () => {
    const before = await sentPerTunnel(pair.a);
    expect(await askAndSend(pair.a, FAR_RESOLVER, 'a.teams.example', 20)).toEqual({ from: `${FAR_RESOLVER}:53`, address: NAMED });
    expect(await sentPerTunnel(pair.a)).toEqual([before[0] + 1, before[1] + 20]); // the question is no such traffic
    expect(await members(pair.a, 'n_voice__0')).toEqual([NAMED]);
  });

  it('and after an answer of a resolver on the gateway itself', async () => {
    const before = await sentPerTunnel(pair.a);
    expect(await askAndSend(pair.a, OWN_RESOLVER, 'too.teams.example', 20)).toEqual({ from: `${OWN_RESOLVER}:53`, address: NAMED_TOO });
    expect(await sentPerTunnel(pair.a)).toEqual([before[0], before[1] + 20]);
  });

  it('other names and other addresses do not, and nobody can tell the agent stories', async () => {
    const before = await sentPerTunnel(pair.a);
    expect(await askAndSend(pair.a, FAR_RESOLVER, 'bank.example', 20)).toEqual({ from: `${FAR_RESOLVER}:53`, address: FAR_RESOLVER });
    await inside(pair.a.hostNamespace, process.execPath, '-e', `${ANSWER}const s=require('dgram').createSocket('udp4');for(const p of [8624,8625])s.send(answerTo(query('a.teams.example'),'10.92.0.66'),p,'${OWN_RESOLVER}');setTimeout(()=>s.close(),200)`);
    expect(await sentPerTunnel(pair.a)).toEqual([before[0] + 21, before[1]]);
    expect(await members(pair.a, 'n_voice__0')).toEqual([NAMED, NAMED_TOO]);
  });

  it('what was learned is no drift, and outlives a new ruleset', async () => {
    expect(await pair.a.dataplane.apply(byName(pair.a))).toEqual([]);
    const wider = byName(pair.a);
    expect(await pair.a.dataplane.apply({ ...wider, config: { ...wider.config, allow: [...wider.config.allow, { from: ['10.91.0.0/24'], to: ['10.94.0.0/24'] }] } })).not.toEqual([]);
    const before = await sentPerTunnel(pair.a);
    await sendDatagrams(pair.a, NAMED, 9000, 10);
    expect(await sentPerTunnel(pair.a)).toEqual([before[0], before[1] + 10]);
  });

  it('hosts are counted by class and by role, and only those that sent something', async () => {
    const { users } = await pair.a.dataplane.counters();
    expect(users).toEqual([
      { group: 'class', name: 'voice', hosts: 1 },
      { group: 'class', name: 'bulk', hosts: 1 },
      { group: 'role', name: 'office', hosts: 1 },
      { group: 'role', name: 'tills', hosts: 0 },
    ]);
    expect((await pair.b.dataplane.counters()).users).toEqual([]);
  });

  it('a killed agent takes names from no host, and what it had learned goes on', async () => {
    agent.kill('SIGKILL');
    const before = await sentPerTunnel(pair.a);
    await until(async () => (await members(pair.a, 'diverted')).length === 0, 6_000);
    expect(await askAndSend(pair.a, FAR_RESOLVER, 'a.teams.example', 10)).toEqual({ from: `${FAR_RESOLVER}:53`, address: NAMED });
    expect(await askAndSend(pair.a, OWN_RESOLVER, 'a.teams.example', 10)).toEqual({ from: `${OWN_RESOLVER}:53`, address: NAMED });
    expect((await sentPerTunnel(pair.a))[1] - before[1]).toBe(20);
  });
});

/** Voice is what goes to names below teams.example, through tunnel 2; the rest goes through tunnel 1. */
function byName(gateway: Gateway): DataplaneWanted {
  const wanted = wantedOf(gateway.name);
  const [voice, bulk] = wanted.config.classes;
  const named = { ...voice!, match: [{ protocol: 'any' as const, ports: [], dscp: [], names: ['*.teams.example'] }] };
  return { ...wanted, config: { ...wanted.config, classes: [named, bulk!], resolvers: [OWN_RESOLVER, FAR_RESOLVER], countUsers: { roles: [{ name: 'office', prefixes: ['10.91.0.0/25'] }, { name: 'tills', prefixes: ['10.91.0.128/25'] }] } } };
}

/** The addresses in a set, in order. */
async function members(gateway: Gateway, set: string): Promise<string[]> {
  const listing = await inside(gateway.namespace, 'nft', 'list', 'set', 'inet', 'foremesh', set);
  return [...(listing.split('elements')[1] ?? '').matchAll(/\d+\.\d+\.\d+\.\d+/g)].map(([address]) => address).sort();
}

/** For scripts: a question and the answer to one, with a pointer to the name that was asked for. */
const ANSWER = `
const query=(n)=>Buffer.concat([Buffer.from([7,7,1,0,0,1,0,0,0,0,0,0]),...n.split('.').map((l)=>Buffer.concat([Buffer.from([l.length]),Buffer.from(l)])),Buffer.from([0,0,1,0,1])]);
const answerTo=(q,a)=>{const m=Buffer.concat([q,Buffer.from([192,12,0,1,0,1,0,0,1,44,0,4,...a.split('.').map(Number)])]);m[2]=0x81;m[3]=0x80;m[7]=1;return m};
`;

function resolverScript(address: string): string {
  const zone = `{'\\x01a\\x05teams':'${NAMED}','\\x03too\\x05teams':'${NAMED_TOO}'}`;
  return `${ANSWER}const zone=${zone};const s=require('dgram').createSocket('udp4');s.on('message',(q,f)=>{const t=q.toString('latin1');const k=Object.keys(zone).find((z)=>t.includes(z));s.send(answerTo(q,k?zone[k]:'${FAR_RESOLVER}'),f.port,f.address)});s.bind(53,'${address}')`;
}

/** Asks from the host and, the moment that it has the answer, sends so many datagrams there; who answered, and what. */
async function askAndSend(from: Gateway, resolver: string, name: string, count: number): Promise<{ from: string; address: string }> {
  const script = `${ANSWER}const s=require('dgram').createSocket('udp4');let n=0;
s.on('message',(m,f)=>{const a=[...m.subarray(-4)].join('.');for(let i=0;i<${count};i++)s.send('x',9000,a,()=>{if(++n===${count})s.close()});console.log(JSON.stringify({from:f.address+':'+f.port,address:a}))});
s.send(query('${name}'),53,'${resolver}');setTimeout(()=>process.exit(1),3000).unref()`;
  const text = await inside(from.hostNamespace, process.execPath, '-e', script);
  return text === '' ? { from: 'nobody', address: 'none' } : (JSON.parse(text) as { from: string; address: string });
}
