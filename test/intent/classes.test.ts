import { describe, expect, it } from 'vitest';
import { loadIntent, readConfigFolder } from '../../src/intent/index.ts';

const example = (await readConfigFolder('.')).filter(({ file }) => !file.endsWith('classes.yaml'));

/** What the loader says about these classes, in one file: `line:column what`. */
function findingsOn(...classes: string[]): string[] {
  const text = classes.map((fields, index) => `apiVersion: foremesh/v1\nkind: TrafficClass\n${fields.includes('name:') ? '' : `name: ${'abc'[index]}\n`}priority: ${index}\n${fields}\n`).join('---\n');
  const result = loadIntent([...example, { file: 'mesh-config/classes.yaml', text }], null);
  return result.ok ? [] : result.findings.filter(({ where }) => where?.file === 'mesh-config/classes.yaml').map(({ where, what }) => `${where?.line}:${where?.column} ${what}`);
}

const names = (count: number): string => Array.from({ length: count }, (_each, index) => `n${index}.example`).join(', ');

describe('traffic classes', () => {
  it.each<[string, string[]]>([
    ['shares up to everything', ['share: 30%', 'share: 70%', '']],
    ['a code point that the class is told by', ['match: [{ dscp: [34, 46] }]\ndscp: 46', '']],
    ['a code point that only a later class is told by', ['match: [{ ports: [5000] }]\ndscp: 10', 'match: [{ dscp: [10] }]', '']],
    ['hosts’ code points', ['dscp: keep', '']],
  ])('may have %s', (_case, classes) => {
    expect(findingsOn(...classes)).toEqual([]);
  });

  it.each<[string, string[], string]>([
    ['shares of more than there is', ['share: 30%', 'share: 80%', ''], '11:8 the shares of all traffic classes sum to 110 %'],
    ['a share of more than all', ['share: 130%', ''], '5:8 share is "130%"'],
    ['a code point beyond 63', ['dscp: 64', ''], '5:7 dscp is 64'],
    ['a code point in words', ['dscp: ef', ''], '5:7 dscp is "ef"'],
    ['a rewrite that loses what the class is told by', ['match: [{ dscp: [34] }]\ndscp: 46', ''], '6:7 the class is told by DSCP and rewritten to 46'],
    ['a mark to be told by, when it is sent twice', ['match: [{ ports: [1] }, { fwmark: 7 }]\nprotection: duplicate', ''], '5:35 a class that is sent twice is told by a mark'],
    ['names while no site says whom its hosts ask', ["match: [{ names: ['git.example.org', '*.teams.example'], ports: [443] }]", ''], '5:19 the class is told by host name, and no site says which resolvers its hosts ask'],
    ['a wildcard anywhere but in front', ["match: [{ names: ['git.*.example.org'] }]", ''], '5:19 match[0].names[0] is "git.*.example.org"'],
    ['a wildcard of half a label', ["match: [{ names: ['*teams.example'] }]", ''], 'names[0] is "*teams.example"'],
    ['a wildcard alone', ["match: [{ names: ['*'] }]", ''], '"*"'],
    ['a name without a dot', ['match: [{ names: [localhost] }]', ''], '"localhost"'],
    ['an address for a name', ['match: [{ names: [10.0.0.1.] }]', ''], '"10.0.0.1."'],
    ['a name in capitals', ['match: [{ names: [Git.example.org] }]', ''], '"Git.example.org"'],
    ['a label of 64 letters', [`match: [{ names: [${'a'.repeat(64)}.example] }]`, ''], 'names[0] is'],
    ['more than 64 names over all its matches', [`match: [{ names: [${names(40)}] }, { names: [${names(25)}] }]`, ''], 'the class has 65 host names'],
    ['names, when it is sent twice', ['match: [{ names: [git.example.org] }]\nprotection: duplicate', ''], 'a class that is sent twice is told by host names'],
    ['a rewrite that makes it another class', ['match: [{ dscp: [46] }]', 'match: [{ ports: [80] }]\ndscp: 46', ''], '12:7 packets rewritten to 46 would be taken for class "a"'],
  ])('may not have %s', (_case, classes, finding) => {
    expect(findingsOn(...classes).join('\n')).toContain(finding);
  });
});
