import { describe, expect, it } from 'vitest';
import { formatFinding, type Finding, type SourceFile } from '../../src/base/index.ts';
import { loadIntent, readConfigFolder } from '../../src/intent/index.ts';

const example = await readConfigFolder('.');

/** What the loader says about one more file beside the example mesh. */
function findingsOn(text: string): Finding[] {
  const result = loadIntent([...example, { file: 'mesh-config/zz.yaml', text }], null);
  return result.ok ? [] : result.findings;
}

/** A sound site of its own, with one line replaced. */
function site(from = '', to = ''): string {
  const text = `apiVersion: foremesh/v1
kind: Site
name: rome
location: { city: Rome, country: IT, latitude: 41.9, longitude: 12.5 }
prefixes: [10.9.0.0/24]
nodes:
  - name: rome-gw1
    lan: { address: 10.9.0.1/24 }
    uplinks:
      - { name: fibre, provider: tim, interface: isp1, address: 100.64.1.9, up: 20Mbps, down: 20Mbps }
`;
  if (!text.includes(from)) throw new Error(`no ${from}`);
  return text.replace(from, to);
}

/** One more gateway of that site, the second or third. */
const gateway = (number: number, lan: string, role = 'active') => `  - name: rome-gw${number}
    role: ${role}
    lan: { address: ${lan}/24 }
    uplinks:
      - { name: fibre, provider: tim, interface: isp1, address: 100.64.1.9${number}, up: 20Mbps, down: 20Mbps }
`;

const connection = (fields: string) => `apiVersion: foremesh/v1\nkind: Connection\nname: extra\n${fields}\n`;
const override = (what: string, rest = "until: '2026-11-22T18:00:00Z'\nwhy: works\nby: ada@example.org") => `apiVersion: foremesh/v1\nkind: Override\nname: works\nwhat: ${what}\n${rest}\n`;
const random = 'q8Zr3TnV0aXbK7mWcY5uJ1hG9sD4fE6p+LQ2oRiNxtA=';

describe('a sound document', () => {
  it.each([
    ['a site with everything left to the defaults', site()],
    ['two gateways that share its traffic, and one that stands by', `${site()}${gateway(2, '10.9.0.2')}${gateway(3, '10.9.0.2', 'standby')}`],
    ['a byte order mark and Windows line ends', `\ufeff${site().replaceAll('\n', '\r\n')}`],
    ['two documents', `${site()}---\n${connection("between: [rome, 'p*']")}`],
    ['a comment in another script', `# Ünïcode: λ, 東京\n${site()}`],
    ['a city in another script', site('city: Rome', 'city: Zürich')],
    ['nothing but comments', '# nothing yet\n'],
    ['nothing at all', ''],
    ['JSON', '{"apiVersion": "foremesh/v1", "kind": "Connection", "name": "extra", "between": ["berlin", "paris"]}'],
    ['an override', override('{ avoidPath: { over: [berlin-gw1/fibre, paris-gw1/fibre] } }')],
  ])('%s is accepted', (_, text) => {
    expect(findingsOn(text).map(formatFinding)).toEqual([]);
  });
});

const laughs = ['a: &a [x, x, x, x, x, x, x, x, x]', ...'bcdefghi'.split('').map((name, index) => `${name}: &${name} [${Array.from({ length: 9 }, () => `*${'abcdefgh'[index]}`).join(', ')}]`)].join('\n');

describe('hostile YAML is refused before it costs anything', () => {
  it.each([
    ['billion laughs', laughs, 'INTENT_YAML', 'anchor'],
    ['100,000 keys', Array.from({ length: 100_000 }, (_, index) => `k${index}: 1`).join('\n'), 'INTENT_LIMIT', 'longer than 65536 bytes'],
    ['as many keys as fit', Array.from({ length: 7000 }, (_, index) => `k${index}: 1`).join('\n'), 'INTENT_LIMIT', 'YAML tokens'],
    ['20,000 open brackets', `a: ${'['.repeat(20_000)}`, 'INTENT_LIMIT', 'levels deep'],
    ['60,000 open brackets', '['.repeat(60_000), 'INTENT_LIMIT', 'levels deep'],
    ['open braces', '{a: '.repeat(10_000), 'INTENT_LIMIT', 'levels deep'],
    ['lists in lists on one line', `${'- '.repeat(10_000)}x`, 'INTENT_LIMIT', 'levels deep'],
    ['keys of keys on one line', `${'? '.repeat(10_000)}x`, 'INTENT_LIMIT', 'levels deep'],
    ['lists in lists by indentation', Array.from({ length: 300 }, (_, level) => `${' '.repeat(level)}-`).join('\n'), 'INTENT_LIMIT', 'levels deep'],
    ['a cycle', '&a [*a]', 'INTENT_YAML', 'anchor'],
    ['a scalar of 10 MB', `a: ${'x'.repeat(10_000_000)}`, 'INTENT_LIMIT', 'longer than 65536 bytes'],
    ['a duplicate key', 'kind: Site\nkind: Site', 'INTENT_YAML', 'twice'],
    ['a directive that would turn yes into true', '%YAML 1.1\n---\nrelay: yes', 'INTENT_YAML', 'directive'],
    ['a directive for tags', '%TAG ! tag:example.org,2026:\n---\na: 1', 'INTENT_YAML', 'directive'],
    ['a tag that runs code elsewhere', 'a: !!js/function "x"', 'INTENT_YAML', 'tag'],
    ['a harmless tag', 'a: !!str 5', 'INTENT_YAML', 'tag'],
    ['a tab as indentation', 'a:\n\tb: 1', 'INTENT_YAML', 'tab'],
    ['an unclosed list', 'a: [1, 2', 'INTENT_YAML', 'not valid YAML'],
    ['__proto__ as a key', '__proto__: { admin: true }', 'INTENT_YAML', '__proto__'],
    ['constructor as a key', 'a: { constructor: 1 }', 'INTENT_YAML', 'constructor'],
    ['a number as a key', '5: 1', 'INTENT_YAML', 'a key is not plain text'],
    ['a list as a key', '? [a]\n: 1', 'INTENT_YAML', 'a key is not plain text'],
    ['.nan', 'a: .nan', 'INTENT_YAML', 'not finite'],
    ['1e400', 'a: 1e400', 'INTENT_YAML', 'not finite'],
    ['2^53 + 1', 'a: 9007199254740993', 'INTENT_YAML', 'too large'],
    ['NUL', 'a: "x\u0000y"', 'INTENT_YAML', 'U+0000'],
    ['BEL', 'a: x\u0007', 'INTENT_YAML', 'U+0007'],
    ['a bidi override', '# \u202eevil', 'INTENT_YAML', 'U+202E'],
    ['a zero-width space', 'a: b\u200bc', 'INTENT_YAML', 'U+200B'],
    ['a lone surrogate', 'a: \ud800', 'INTENT_YAML', 'U+D800'],
    ['a merge key', '<<: { a: 1 }\napiVersion: foremesh/v1\nkind: Mesh\nname: x', 'INTENT_UNKNOWN_KEY', '"<<"'],
    ['a resolver that the gateways do not see', site('prefixes: [10.9.0.0/24]', 'prefixes: [10.9.0.0/24]\nresolvers: [10.9.0.53]'), 'INTENT_INVALID', 'do not see what resolver 10.9.0.53 answers'],
    ['a resolver out in the Internet', site('prefixes: [10.9.0.0/24]', 'prefixes: [10.9.0.0/24]\nresolvers: [9.9.9.9]'), 'INTENT_INVALID', 'resolver 9.9.9.9'],
    ['a pin of a class that is not there', "apiVersion: foremesh/v1\nkind: Override\nname: w\nwhat: { pinPath: { between: [berlin, paris], over: [paris-gw1/cable, berlin-gw1/fibre], class: voic } }\nuntil: '2026-11-22T18:00:00Z'\nwhy: w\nby: ada", 'INTENT_REFERENCE', 'voic'],
    ['a document that is a list', '- 1\n- 2', 'INTENT_SCHEMA', 'not a map'],
    ['a document that is a text', 'hello', 'INTENT_SCHEMA', 'not a map'],
  ])('%s', (_, text, code, what) => {
    const findings = findingsOn(text);
    expect(findings.map((one) => one.code)).toContain(code);
    expect(findings.filter((one) => one.code === code).map((one) => one.what).join('\n')).toContain(what);
    expect(findings.every((one) => one.where?.file === 'mesh-config/zz.yaml' && one.fix !== '')).toBe(true);
    expect(findings.length).toBeLessThan(60);
  });

  it('does not pollute any prototype', () => {
    findingsOn('__proto__: { polluted: true }\na: { __proto__: { polluted: true } }');
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe('a wrong intent is refused at its place', () => {
  it.each([
    ['an unknown kind', 'apiVersion: foremesh/v1\nkind: Sites\nname: x', ['2:7 INTENT_SCHEMA'], 'did you mean Site?'],
    ['no kind', 'apiVersion: foremesh/v1\nname: x', ['1:1 INTENT_SCHEMA'], 'use one of'],
    ['another version', site('foremesh/v1', 'foremesh/v2'), ['1:13 INTENT_SCHEMA'], 'write foremesh/v1'],
    ['an unknown key', site('prefixes:', 'relays: true\nprefixes:'), ['5:1 INTENT_UNKNOWN_KEY'], 'did you mean relay?'],
    ['a missing key', site('prefixes: [10.9.0.0/24]\n', ''), ['1:1 INTENT_SCHEMA'], 'add prefixes:'],
    ['a key without a value', site('name: rome\n', 'name:\n'), ['3:6 INTENT_SCHEMA'], 'Lower-case letters'],
    ['an upper-case name', site('name: rome\n', 'name: Rome\n'), ['3:7 INTENT_SCHEMA'], 'Lower-case letters'],
    ['a look-alike name (Cyrillic o)', site('name: rome\n', 'name: r\u043eme\n'), ['3:7 INTENT_SCHEMA'], 'Lower-case letters'],
    ['a bare number for a bandwidth', site('up: 20Mbps', 'up: 20'), ['10:81 INTENT_UNIT'], "write '20Mbps'"],
    ['a bandwidth of nothing', site('up: 20Mbps', 'up: 0Mbps'), ['10:81 INTENT_INVALID'], "for example '20Mbps'"],
    ['a bandwidth in another unit', site('up: 20Mbps', 'up: 20MB'), ['10:81 INTENT_UNIT'], '200Mbps'],
    ['an IPv6 prefix that is not protected', site('[10.9.0.0/24]', "[10.9.0.0/24, 'fd00:9::/64']").replace('10.9.0.1/24', "10.9.0.1/24, address6: 'fd00:9::1/64'"), ['5:25 INTENT_INVALID'], 'protectedPrefixes'],
    ['an IPv6 prefix in a long form', site('10.9.0.0/24', "'fd00:9:0:0::/64'"), ['5:12 INTENT_SCHEMA'], 'short form'],
    ['an IPv6 prefix of everything', site('10.9.0.0/24', "'::/0'"), ['5:12 INTENT_INVALID'], 'name the networks'],
    ['an IPv6 address in capitals', site('100.64.1.9', "'2001:DB8::9'"), ['10:65 INTENT_SCHEMA'], 'short form'],
    ['an IPv6 LAN address in the place of the IPv4 one', site('10.9.0.1/24', "'fd00:9::1/64'"), ['8:21 INTENT_SCHEMA'], 'IPv4 address'],
    ['a prefix with host bits', site('10.9.0.0/24', '10.9.0.5/24'), ['5:12 INTENT_SCHEMA'], 'without host bits'],
    ['a prefix of everything', site('10.9.0.0/24', '0.0.0.0/0'), ['5:12 INTENT_INVALID'], 'name the networks'],
    ['an address with leading zeros', site('100.64.1.9', '100.064.1.9'), ['10:65 INTENT_SCHEMA'], 'four decimal parts'],
    ['an address with a zone', site('100.64.1.9', "'fe80::1%eth0'"), ['10:65 INTENT_SCHEMA'], 'short form'],
    ['a prefix that another site has', site('10.9.0.0/24', '10.1.0.0/25').replace('10.9.0.1', '10.1.0.9'), ['5:12 INTENT_INVALID'], 'networks of its own'],
    ['a prefix that holds another site', site('10.9.0.0/24', '10.0.0.0/13').replace('10.9.0.1', '10.1.0.9'), Array.from({ length: 5 }, () => '5:12 INTENT_INVALID'), 'networks of its own'],
    ['a prefix of the overlay', site('10.9.0.0/24', '172.30.9.0/24').replace('10.9.0.1', '172.30.9.1'), ['5:12 INTENT_INVALID'], 'overlayPrefix'],
    ['a LAN address outside the site', site('10.9.0.1', '10.8.0.1'), ['8:21 INTENT_INVALID'], 'use an address of one'],
    ['an uplink address that another has', site('100.64.1.9', '100.64.1.1'), ['10:65 INTENT_DUPLICATE'], 'its own address'],
    ['a node name that another site has', site('rome-gw1', 'paris-gw1'), ['7:11 INTENT_DUPLICATE'], 'unique in the whole mesh'],
    ['a site name that is taken', site('name: rome\n', 'name: paris\n'), ['3:7 INTENT_DUPLICATE'], 'its own name'],
    ['no active node', site('    lan:', '    role: standby\n    lan:'), ['7:3 INTENT_INVALID'], 'role: active'],
    ['a third active node', `${site()}${gateway(2, '10.9.0.2')}${gateway(3, '10.9.0.3')}`, ['16:11 INTENT_INVALID'], 'role: standby'],
    ['two active nodes with one LAN address', `${site()}${gateway(2, '10.9.0.1')}`, ['13:21 INTENT_INVALID'], 'half of the hosts'],
    ['a standby node for neither of two active ones', `${site()}${gateway(2, '10.9.0.2')}${gateway(3, '10.9.0.3', 'standby')}`, ['18:21 INTENT_INVALID'], 'use 10.9.0.1/24 or 10.9.0.2/24'],
    ['a second mesh', 'apiVersion: foremesh/v1\nkind: Mesh\nname: other', ['2:7 INTENT_DUPLICATE'], 'keep one'],
    ['a site joined with itself', connection('between: [berlin, berlin]'), ['4:19 INTENT_INVALID'], 'two different sites'],
    ['one site only', connection('between: [berlin]'), ['4:10 INTENT_SCHEMA'], 'write at least 2'],
    ['an unknown site', connection('between: [berlin, pariss]'), ['4:19 INTENT_REFERENCE'], 'did you mean paris?'],
    ['an unknown profile', connection('between: [berlin, paris]\nsecurityProfile: stong'), ['5:18 INTENT_REFERENCE'], 'did you mean strong?'],
    ['an unknown class', connection('between: [berlin, paris]\nclasses: [voise]'), ['5:11 INTENT_REFERENCE'], 'did you mean voice?'],
    ['an unknown uplink', connection('between: [berlin, paris]\navoid: { uplinks: [berlin-gw1/fiber] }'), ['5:20 INTENT_REFERENCE'], 'did you mean berlin-gw1/fibre?'],
    ['max below min', connection('between: [berlin, paris]\nmin: 5Mbps\nmax: 1Mbps'), ['6:6 INTENT_INVALID'], 'raise max'],
    ['an unknown mode', connection('between: [berlin, paris]\nmode: allways'), ['5:7 INTENT_SCHEMA'], 'did you mean always?'],
    ['swapped ports', 'apiVersion: foremesh/v1\nkind: TrafficClass\nname: x\npriority: 9\nmatch: [{ ports: [20-10] }]', ['5:19 INTENT_INVALID'], 'lower port first'],
    ['a port above 65535', 'apiVersion: foremesh/v1\nkind: TrafficClass\nname: x\npriority: 9\nmatch: [{ ports: [70000] }]', ['5:19 INTENT_SCHEMA'], '5000-5099'],
    ['a latency of nothing', 'apiVersion: foremesh/v1\nkind: TrafficClass\nname: x\npriority: 9\nsla: { latencyMax: 0s }', ['5:20 INTENT_INVALID'], "from '1ms'"],
    ['a duration without a unit', 'apiVersion: foremesh/v1\nkind: TrafficClass\nname: x\npriority: 9\nsla: { latencyMax: 80 }', ['5:20 INTENT_UNIT'], "'80ms'"],
    ['a share without a unit', 'apiVersion: foremesh/v1\nkind: TrafficClass\nname: x\npriority: 9\nsla: { lossMax: 0.005 }', ['5:17 INTENT_UNIT'], "'0.5%'"],
    ['an override without an end', override('{ drainNode: berlin-gw1 }', 'why: works\nby: ada'), ['1:1 INTENT_SCHEMA'], 'add until: 2026-'],
    ['an override that ends on no day', override('{ drainNode: berlin-gw1 }', "until: '2026-13-45T00:00:00Z'\nwhy: works\nby: ada"), ['5:8 INTENT_SCHEMA'], 'for example'],
    ['an override that ends on 30 February', override('{ drainNode: berlin-gw1 }', "until: '2026-02-30T00:00:00Z'\nwhy: works\nby: ada"), ['5:8 INTENT_SCHEMA'], 'for example'],
    ['an override of two things', override('{ drainNode: berlin-gw1, avoidPath: { over: [berlin-gw1/fibre, paris-gw1/fibre] } }'), ['4:7 INTENT_SCHEMA'], 'exactly one of pinPath, avoidPath, drainNode'],
    ['an override of an unknown node', override('{ drainNode: berlin-gw9 }'), ['4:20 INTENT_REFERENCE'], 'did you mean berlin-gw1?'],
  ])('%s', (_, text, places, fix) => {
    const findings = findingsOn(text);
    expect(findings.map(({ where, code }) => `${where?.line}:${where?.column} ${code}`)).toEqual(places);
    expect(findings[0]!.fix).toContain(fix);
  });

  it('without any Mesh', () => {
    const result = loadIntent(example.filter(({ file }) => !file.endsWith('mesh.yaml')), null);
    expect(result.ok ? [] : result.findings.map(({ code, where }) => [code, where])).toEqual([['INTENT_REFERENCE', null]]);
  });
});

describe('secrets are refused and never repeated', () => {
  it.each([
    ['a private key', `# -----BEGIN PRIVATE KEY-----\n# ${random}`],
    ['a certificate', '# -----BEGIN CERTIFICATE-----'],
    ['psk:', connection(`between: [berlin, paris]\npsk: ${random}`)],
    ['a password', connection('between: [berlin, paris]\npassword: hunter2-hunter2')],
    ['32 bytes of base64', connection(`between: [berlin, paris]\nsecurityProfile: ${random}`)],
    ['32 bytes of hex', connection("between: [berlin, paris]\nsecurityProfile: '8f1d2c3b4a5968778695a4b3c2d1e0ff'")],
    ['base64 as a key', connection(`between: [berlin, paris]\n"${random}": 1`)],
    ['a forge token', '# ghp_abcdEFGHijklMNOPqrstUVWXyz0123456789'],
    ['a cloud key', 'a: AKIAIOSFODNN7EXAMPLE'],
  ])('%s', (_, text) => {
    const findings = findingsOn(text);
    expect(findings.map(({ code }) => code)).toContain('INTENT_SECRET');
    const said = findings.map(formatFinding).join('\n');
    for (const secret of [random, 'hunter2', '8f1d2c3b', 'abcdEFGH', 'AKIA']) expect(said).not.toContain(secret);
  });

  it('a syntax error beside a secret does not quote it', () => {
    const findings = findingsOn(`a: [1, 2\nb: "${random}`);
    expect(findings.length).toBeGreaterThan(0);
    expect(findings.map(formatFinding).join('\n')).not.toContain(random.slice(0, 12));
  });

  it('long names are no secrets', () => {
    expect(findingsOn(connection('between: [berlin, paris]').replace('extra', 'berlin-headquarters-to-paris-second'))).toEqual([]);
  });
});

describe('a tree that is too large is refused', () => {
  it.each([
    ['501 files', Array.from({ length: 501 }, (_, index): SourceFile => ({ file: `mesh-config/${index}.yaml`, text: '' })), '501 YAML files'],
    ['more than 2 MiB', Array.from({ length: 40 }, (_, index): SourceFile => ({ file: `mesh-config/${index}.yaml`, text: `#${'x'.repeat(60_000)}` })), 'more than the 2097152'],
    ['10,001 sites', Array.from({ length: 250 }, (_, index): SourceFile => ({ file: `mesh-config/${index}.yaml`, text: 'kind: Site\nname: x\n---\n'.repeat(41) })), 'documents, more than the 3000'],
  ])('%s', (_, files, what) => {
    const result = loadIntent(files, null);
    expect(result.ok ? [] : result.findings.filter(({ code }) => code === 'INTENT_LIMIT').map((one) => one.what)).toEqual([expect.stringContaining(what)]);
  });
});
