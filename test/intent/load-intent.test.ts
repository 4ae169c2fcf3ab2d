import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, formatFinding, type SourceFile } from '../../src/base/index.ts';
import { findingsOfVerdict, loadIntent, readConfigFolder } from '../../src/intent/index.ts';

const example = await readConfigFolder('.');

describe('an intent with ten faults', () => {
  const files: SourceFile[] = [
    {
      file: 'mesh-config/mesh.yaml',
      text: `apiVersion: foremesh/v1
kind: Mesh
name: example
cycle: 60
utilisationMax: 80%
idleTimout: 30m
`,
    },
    {
      file: 'mesh-config/sites/berlin.yaml',
      text: `apiVersion: foremesh/v1
kind: Site
name: berlin
location: { city: Berlin, country: DE, latitude: 52.52, longitude: 13.4 }
prefixes: [10.1.0.0/24]
nodes:
  - name: berlin-gw1
    lan: { address: 10.7.0.1/24 }
    uplinks:
      - name: fibre
        provider: telekom
        interface: isp1
        address: 100.64.1.1
        up: 20Mbps
        down: 20Mb
`,
    },
    {
      file: 'mesh-config/sites/paris.yaml',
      text: `apiVersion: foremesh/v1
kind: Site
name: paris
location: { city: Paris, country: FR, latitude: 48.86, longitude: 2.35 }
prefixes: [10.1.0.128/25]
nodes:
  - name: paris-gw1
    lan: { address: 10.1.0.129/25 }
    uplinks:
      - name: fibre
        provider: orange
        interface: isp1
        address: 100.64.1.1
        up: 20Mbps
        down: 20Mbps
`,
    },
    {
      file: 'mesh-config/connections.yaml',
      text: `apiVersion: foremesh/v1
kind: Connection
name: all
between: ['*', '*']
---
apiVersion: foremesh/v1
kind: Connection
name: headquarters
between: [berlin, pariss]
mode: allways
psk: not-telling
`,
    },
    {
      file: 'mesh-config/security.yaml',
      text: `apiVersion: foremesh/v1
kind: SecurityProfile
name: standard
level: 2
esp:
  - { encryption: aes128gcm16, group: x25519 }
`,
    },
  ];

  it('shows ten findings, each at its place and with its cure', () => {
    const result = loadIntent(files, null);
    const lines = result.ok ? [] : result.findings.filter(({ severity }) => severity === 'error').map(formatFinding);
    expect(lines).toEqual([
      'mesh-config/connections.yaml:9:19  INTENT_REFERENCE  there is no site "pariss"   fix: did you mean paris?',
      'mesh-config/connections.yaml:10:7  INTENT_SCHEMA  mode is "allways"   fix: did you mean always?',
      'mesh-config/connections.yaml:11:1  INTENT_SECRET  "psk" would hold a secret   fix: take it out of the file and of the history, and replace the secret: keys are made on the nodes and never stand in Git',
      "mesh-config/mesh.yaml:4:8  INTENT_UNIT  cycle is 60, without a unit   fix: write '60s' for seconds, '60ms' for milliseconds, '60m' for minutes",
      'mesh-config/mesh.yaml:6:1  INTENT_UNKNOWN_KEY  the Mesh has no field "idleTimout"   fix: did you mean idleTimeout?',
      'mesh-config/security.yaml:1:1  INTENT_SCHEMA  the SecurityProfile has no "ike"   fix: add ike: …',
      "mesh-config/sites/berlin.yaml:8:21  INTENT_INVALID  the LAN address 10.7.0.1 is in none of the site's prefixes (10.1.0.0/24)   fix: use an address of one of them",
      "mesh-config/sites/berlin.yaml:15:15  INTENT_UNIT  nodes[0].uplinks[0].down is \"20Mb\", which is not a bandwidth   fix: write it with its unit, for example '200Mbps', '1.5Gbps'",
      'mesh-config/sites/paris.yaml:5:12  INTENT_INVALID  10.1.0.128/25 overlaps 10.1.0.0/24 of site "berlin" (mesh-config/sites/berlin.yaml:5)   fix: give every site networks of its own',
      'mesh-config/sites/paris.yaml:13:18  INTENT_DUPLICATE  "100.64.1.1" is taken by another uplink (mesh-config/sites/berlin.yaml:13)   fix: give each uplink its own address',
    ]);
  });

  it('shows the same whatever the order of the files', () => {
    expect(loadIntent([...files].reverse(), null)).toEqual(loadIntent(files, null));
  });
});

describe('the order of things', () => {
  const connections = example.find(({ file }) => file.endsWith('connections.yaml'))!;
  const documents = example.filter((file) => file !== connections).flatMap(({ text }) => text.split(/^---$/m));
  const wanted = canonicalJson(intentOf(example));

  it('in and between files does not matter, but for connections', () => {
    const shuffled = fc.shuffledSubarray(documents, { minLength: documents.length });
    const cuts = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: documents.length, maxLength: documents.length });
    fc.assert(
      fc.property(shuffled, cuts, (order, bins) => {
        const files = [0, 1, 2, 3, 4].map((bin) => ({ file: `mesh-config/part-${bin}.yaml`, text: order.filter((_, index) => bins[index] === bin).join('\n---\n') }));
        expect(canonicalJson(intentOf([connections, ...files]))).toBe(wanted);
      }),
      { numRuns: 25 },
    );
  });

  it('of keys and of nodes, uplinks and prefixes does not matter', () => {
    const paris = example.find(({ file }) => file.endsWith('paris.yaml'))!;
    const reordered = `kind: Site\nnodes:\n  - uplinks:\n      - { address: 100.64.2.2, down: 20Mbps, up: 20Mbps, interface: isp2, provider: free, name: cable, riskGroups: [paris-duct-west] }\n      - { address: 100.64.1.2, down: 20Mbps, up: 20Mbps, interface: isp1, provider: orange, name: fibre, riskGroups: [paris-duct-east] }\n    tunnelsMax: 16\n    name: paris-gw1\n    lan: { address: 10.2.0.1/24 }\nprefixes: [10.2.0.0/24]\nname: paris\nregion: offices-fr\nlocation: { longitude: 2.35, latitude: 48.86, country: FR, city: Paris }\napiVersion: foremesh/v1\n`;
    expect(canonicalJson(intentOf(example.map((one) => (one === paris ? { ...one, text: reordered } : one))))).toBe(wanted);
  });

  it('of connections is that of file path, then of the file', () => {
    const rule = (name: string) => `apiVersion: foremesh/v1\nkind: Connection\nname: ${name}\nbetween: [berlin, paris]\n`;
    const names = intentOf([{ file: 'mesh-config/z.yaml', text: `${rule('z1')}---\n${rule('z2')}` }, ...example, { file: 'mesh-config/a.yaml', text: rule('a1') }]).connections.map(({ name }) => name);
    expect([names.at(0), names.at(-2), names.at(-1)]).toEqual(['a1', 'z1', 'z2']);
  });
});

describe('uplinks behind NAT', () => {
  const behind = (changes: Record<string, string>): SourceFile[] => example.map(({ file, text }) => ({ file, text: Object.entries(changes).reduce((all, [from, to]) => all.replace(from, to), text) }));

  it('may have the same private address in two places, also out of a protected network', () => {
    const changes = { 'address: 100.64.1.1\n': 'address: 192.168.7.2\n        nat: {}\n', 'address: 100.64.1.2\n': 'address: 192.168.7.2\n        nat: { publicAddress: 203.0.113.9 }\n' };
    const files = behind(changes);
    const result = loadIntent(files, null);
    if (!result.ok) throw new Error(result.findings.map(formatFinding).join('\n'));
    const uplinks = result.value.intent.sites.flatMap(({ nodes }) => nodes.flatMap((node) => node.uplinks)).filter(({ nat }) => nat !== undefined);
    expect(uplinks.map(({ address, nat }) => [address, nat])).toEqual([['192.168.7.2', {}], ['192.168.7.2', { publicAddress: '203.0.113.9' }]]);
  });

  it('may not share what peers reach them by', () => {
    const result = loadIntent(behind({ 'address: 100.64.1.1\n': 'address: 192.168.7.2\n        nat: { publicAddress: 100.64.1.2 }\n' }), null);
    expect(result.ok ? [] : result.findings.map(({ what }) => what)).toEqual([expect.stringMatching(/^"100.64.1.2" is taken by another uplink/)]);
  });
});

describe('the result', () => {
  it('is frozen to the last field', () => {
    const intent = intentOf(example);
    expect(() => ((intent.sites[0]!.nodes[0]!.uplinks as unknown[]).length = 0)).toThrow(TypeError);
    expect(Object.isFrozen(intent.mesh.forecast)).toBe(true);
  });

  it('keeps the commit it came from', () => {
    const result = loadIntent(example, 'abc');
    expect(result.ok && result.value.intent.commit).toBe('abc');
  });

  it('has the overrides of the files, in our units', () => {
    const text = `apiVersion: foremesh/v1\nkind: Override\nname: works\nwhat: { pinPath: { between: [berlin, paris], over: [paris-gw1/cable, berlin-gw1/fibre], class: voice } }\nuntil: '2026-11-22T18:00:00Z'\nwhy: road works\nby: ada@example.org\n`;
    const result = loadIntent([...example, { file: 'mesh-config/overrides.yaml', text }], null);
    expect(result.ok && result.value.overrides).toEqual([
      { id: 'works', what: { kind: 'pin-path', pair: 'berlin>paris', path: 'berlin-gw1/fibre~paris-gw1/cable', classId: 'voice' }, until: Date.UTC(2026, 10, 22, 18), why: 'road works', by: 'ada@example.org' },
    ]);
  });

  it('counts nobody unless the mesh permits it, and then by its roles', () => {
    expect(intentOf(example).mesh.telemetry.users).toBeUndefined();
    const mesh = (telemetry: string) => [...example.filter(({ text }) => !text.includes('kind: Mesh\n')), { file: 'mesh-config/mesh.yaml', text: `apiVersion: foremesh/v1\nkind: Mesh\nname: m\ntelemetry: ${telemetry}\n` }];
    const roles = '[{ name: tills, prefixes: [10.1.0.64/26, 10.1.0.0/26] }]';
    expect(intentOf(mesh(`{ users: true, roles: ${roles} }`)).mesh.telemetry.users).toEqual({ roles: [{ name: 'tills', prefixes: ['10.1.0.0/26', '10.1.0.64/26'] }] });
    expect(intentOf(example).mesh.telemetry.services).toBeUndefined();
    expect(intentOf(mesh('{ services: true }')).mesh.telemetry.services).toBe(true);
    expect(intentOf(mesh(`{ roles: ${roles} }`)).mesh.telemetry.users).toBeUndefined();
    const twice = loadIntent(mesh(`{ users: true, roles: [{ name: tills, prefixes: [10.1.0.0/26] }, { name: tills, prefixes: [10.2.0.0/26] }] }`), null);
    expect(twice.ok ? [] : twice.findings.filter(({ severity }) => severity === 'error').map(({ what }) => what)).toEqual(['there are two roles "tills"']);
  });

  it('warns of what is most likely not meant', () => {
    const text = `apiVersion: foremesh/v1\nkind: Connection\nname: shops\nbetween: ['shop-*', berlin]\n---\napiVersion: foremesh/v1\nkind: TrafficClass\nname: zoom\npriority: 1\n`;
    const bare = example.map((one) => (one.file.endsWith('mesh.yaml') ? { ...one, text: one.text.replace('[10.0.0.0/8, 172.30.0.0/16]', '[10.0.0.0/14, 172.30.0.0/16, 100.64.1.0/30]') } : one));
    const result = loadIntent([...bare, { file: 'mesh-config/more.yaml', text }], null);
    expect(result.ok && result.warnings.map(({ where, severity, what }) => `${where?.file}:${where?.line} ${severity} ${what.split(',')[0]}`)).toEqual([
      'mesh-config/more.yaml:4 warning "shop-*" matches no site',
      'mesh-config/more.yaml:9 warning traffic class "business" has the same priority',
      'mesh-config/sites/aws-fra.yaml:10 warning 10.4.0.0/24 is not among the mesh\'s protectedPrefixes',
      'mesh-config/sites/azure-weu.yaml:10 warning 10.5.0.0/24 is not among the mesh\'s protectedPrefixes',
      'mesh-config/sites/berlin.yaml:23 warning the uplink address 100.64.1.1 is inside protectedPrefixes',
      'mesh-config/sites/hamburg.yaml:20 warning the uplink address 100.64.1.3 is inside protectedPrefixes',
      'mesh-config/sites/paris.yaml:19 warning the uplink address 100.64.1.2 is inside protectedPrefixes',
    ]);
  });

  it('turns the reasons of a verdict into findings at their places', () => {
    const result = loadIntent(example, null);
    if (!result.ok) throw new Error('the example does not load');
    const reason = { code: 'X', severity: 'error', message: 'm', object: { kind: 'Node', name: 'paris-gw1', field: 'tunnelsMax' }, fix: 'f' } as const;
    const verdict = { decision: 'deny', reasons: [reason, { ...reason, object: { kind: 'Tunnel', name: 't-1' } }], rulesRun: ['X'] } as const;
    expect(findingsOfVerdict({ ...verdict, reasons: [...verdict.reasons], rulesRun: ['X'] }, result.value)).toEqual([
      { code: 'X', severity: 'error', what: 'm', where: { file: 'mesh-config/sites/paris.yaml', line: 13, column: 17 }, fix: 'f' },
      { code: 'X', severity: 'error', what: 'm', where: null, fix: 'f' },
    ]);
  });
});

describe('whatever is in the files', () => {
  it('loading never throws, and every finding points into its file', () => {
    const edit = fc.record({ file: fc.nat(), at: fc.nat(), remove: fc.nat({ max: 12 }), insert: fc.oneof(fc.constantFrom('[', '{', '- ', ': ', '&a ', '*a', '!x ', '"', "'", '\n', '\t', '---\n', '%', '#', '|', '0', '\u0000', 'null'), fc.string({ maxLength: 6 })) });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        const files = example.map((one) => ({ ...one }));
        for (const { file, at, remove, insert } of edits) {
          const target = files[file % files.length]!;
          const offset = at % (target.text.length + 1);
          target.text = target.text.slice(0, offset) + insert + target.text.slice(offset + remove);
        }
        const result = loadIntent(files, null);
        for (const { where, fix } of result.ok ? result.warnings : result.findings) {
          expect(fix).not.toBe('');
          if (where === null) continue;
          const lines = files.find(({ file }) => file === where.file)!.text.split('\n');
          expect(where.line).toBeLessThanOrEqual(lines.length);
          expect(where.column).toBeLessThanOrEqual(lines[where.line - 1]!.length + 1);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('reading the folder', () => {
  it('takes YAML only and refuses links, bytes that are no UTF-8 and files that are too long, all at once', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'foremesh-test-'));
    try {
      await mkdir(join(dir, 'mesh-config', 'sites', '.hidden'), { recursive: true });
      await writeFile(join(dir, 'mesh-config', 'mesh.yaml'), 'a: 1\n');
      await writeFile(join(dir, 'mesh-config', 'sites', 'b.yml'), 'b: 1\n');
      await writeFile(join(dir, 'mesh-config', 'allowed_signers'), 'ada ssh-ed25519 AAAA\n');
      await writeFile(join(dir, 'mesh-config', 'sites', '.hidden', 'c.yaml'), 'c: 1\n');
      expect(await readConfigFolder(dir)).toEqual([
        { file: 'mesh-config/mesh.yaml', text: 'a: 1\n' },
        { file: 'mesh-config/sites/b.yml', text: 'b: 1\n' },
      ]);
      await symlink('/etc/hostname', join(dir, 'mesh-config', 'evil.yaml'));
      await writeFile(join(dir, 'mesh-config', 'latin.yaml'), Buffer.from([0x61, 0x3a, 0x20, 0xfc]));
      await writeFile(join(dir, 'mesh-config', 'long.yaml'), 'x'.repeat(70_000));
      await expect(readConfigFolder(dir)).rejects.toMatchObject({
        findings: [
          { code: 'INTENT_LIMIT', where: { file: 'mesh-config/evil.yaml' } },
          { code: 'INTENT_LIMIT', where: { file: 'mesh-config/latin.yaml' } },
          { code: 'INTENT_LIMIT', where: { file: 'mesh-config/long.yaml' } },
        ],
      });
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  it('gives nothing for a folder that is not there', async () => {
    expect(await readConfigFolder('/nonexistent')).toEqual([]);
  });
});

function intentOf(files: readonly SourceFile[]) {
  const result = loadIntent(files, null);
  if (!result.ok) throw new Error(result.findings.map(formatFinding).join('\n'));
  return result.value.intent;
}
