import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert, asyncProperty, constantFrom, integer, nat, property, string } from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { createVerifier } from '../../../agent/sync/verify.ts';
import { checkNodeConfig } from '../../../agent/sync/node-config-schema.ts';
import { findTreeEntry, objectId, parseCommit } from '../../../agent/sync/objects.ts';
import { allowedSignersLine, formatTrailers, openRepository } from '../../../src/git/index.ts';
import { nodeId, type SignedConfig } from '../../../src/model/index.ts';
import { AT, AUTHOR, createGitFixture, createSshKey, ENGINE, exampleTrailers, type GitFixture } from '../../git/fixture.ts';
import { EXAMPLE_CONFIG, EXAMPLE_YAML } from './example-config.ts';

const NODE = nodeId('berlin-gw1');
const INVALID = { code: 'AGENT_PLAN_INVALID' };
const FILE = 'plan/nodes/berlin-gw1.yaml';

let git: GitFixture;
let good: SignedConfig;
let verify: (signed: SignedConfig) => Promise<unknown>;

beforeAll(async () => {
  git = await createGitFixture();
  verify = createVerifier({ node: NODE, allowedSignersFile: git.allowedSignersFile, signerIdentity: ENGINE });
  good = await proveYaml(EXAMPLE_YAML);
});
afterAll(() => git.close());

/** A signed commit that holds this text as the node's file. */
async function proveYaml(yaml: string, trailers = formatTrailers(exampleTrailers()), parents: string[] = []): Promise<SignedConfig> {
  const files = { [FILE]: yaml, 'plan/nodes/paris-gw1.yaml': 'x: 1\n', 'plan/mesh.yaml': 'y: 1\n' };
  return git.repository.prove(await git.commit(files, { message: `apply a plan\n\nwords\n\n${trailers}\n`, parents }), NODE);
}

/** The same proof with another commit object, with the id that it then has: what a forger can make without the key. */
function withCommitText(change: (text: string) => string): SignedConfig {
  const bytes = Buffer.from(change(Buffer.from(good.commitObject, 'base64').toString('latin1')), 'latin1');
  return { ...good, commitObject: bytes.toString('base64'), commit: objectId('commit', bytes) };
}

describe('a config from the engine', () => {
  it('is taken with its generation, parent and decision', async () => {
    expect(await verify(good)).toEqual({ commit: good.commit, generation: 7, parent: 'none', decision: 'auto', signedAt: AT, config: EXAMPLE_CONFIG });
  });

  it('may name the parent that its commit has, and no other', async () => {
    const parent = await git.commit({ a: '1' });
    const trailers = formatTrailers(exampleTrailers({ parent }));
    expect(await verify(await proveYaml(EXAMPLE_YAML, trailers, [parent]))).toMatchObject({ parent });
    await expect(verify(await proveYaml(EXAMPLE_YAML, trailers, []))).rejects.toMatchObject(INVALID);
  });

  it('is taken whatever plain spelling its YAML has', async () => {
    expect(await verify(await proveYaml(JSON.stringify(EXAMPLE_CONFIG)))).toMatchObject({ config: EXAMPLE_CONFIG });
  });
});

describe('a torn config', () => {
  const parts = ['commitObject', 'root', 'plan', 'nodes', 'blob'] as const;
  const withPart = (part: (typeof parts)[number], change: (text: string) => string): SignedConfig => {
    if (part === 'commitObject' || part === 'blob') return { ...good, [part]: change(good[part]) };
    const trees = good.trees.map((tree, index) => (index === parts.indexOf(part) - 1 ? change(tree) : tree)) as SignedConfig['trees'];
    return { ...good, trees };
  };

  it.each(parts)('is refused when %s ends early, anywhere', async (part) => {
    await assert(
      asyncProperty(nat(10_000), async (cut) => {
        const torn = withPart(part, (text) => text.slice(0, cut % text.length));
        await expect(verify(torn)).rejects.toMatchObject(INVALID);
      }),
      { numRuns: 60 },
    );
  });

  it('is refused with any one bit of any part flipped', async () => {
    await assert(
      asyncProperty(constantFrom(...parts), nat(100_000), integer({ min: 0, max: 7 }), async (part, position, bit) => {
        const flipped = withPart(part, (text) => {
          const bytes = Buffer.from(text, 'base64');
          bytes[position % bytes.length]! ^= 1 << bit;
          return bytes.toString('base64');
        });
        await expect(verify(flipped)).rejects.toMatchObject(INVALID);
      }),
      { numRuns: 400 },
    );
  });

  it('is refused with any one character of its text changed, base64 padding included', async () => {
    await assert(
      asyncProperty(constantFrom(...parts), nat(100_000), constantFrom(...'ABab01+/=- \n'.split('')), async (part, position, character) => {
        const changed = withPart(part, (text) => {
          const at = position % text.length;
          return `${text.slice(0, at)}${character}${text.slice(at + 1)}`;
        });
        if (JSON.stringify(changed) !== JSON.stringify(good)) await expect(verify(changed)).rejects.toMatchObject(INVALID);
      }),
      { numRuns: 400 },
    );
  });

  it.each([
    ['no trees', { trees: [] }],
    ['a tree too many', { trees: ['', '', '', ''] }],
    ['no blob', { blob: undefined }],
    ['a number for a blob', { blob: 7 }],
    ['another schema', { schema: 'foremesh/signed-config/v2' }],
    ['another commit id', { commit: '0'.repeat(40) }],
    ['a huge blob', { blob: 'A'.repeat(2_000_000) }],
  ])('is refused with %s', async (_, change) => {
    await expect(verify({ ...good, ...change } as unknown as SignedConfig)).rejects.toMatchObject(INVALID);
  });
});

describe('a config signed with a key whose time is over', () => {
  it('is refused, and one whose time lasts is not', async () => {
    const line = allowedSignersLine(ENGINE, git.publicKey);
    const withOption = async (option: string): Promise<unknown> => {
      const file = join(git.folder, `signers-${option.replaceAll(/\W/g, '')}`);
      await writeFile(file, `${line.replace(' namespaces=', ` ${option},namespaces=`)}\n`);
      return createVerifier({ node: NODE, allowedSignersFile: file, signerIdentity: ENGINE })(good);
    };
    await expect(withOption('valid-before="20200101"')).rejects.toMatchObject(INVALID);
    await expect(withOption('valid-after="20990101"')).rejects.toMatchObject(INVALID);
    await expect(withOption('valid-before="20990101"')).resolves.toMatchObject({ generation: 7 });
  });
});

describe('a forged config', () => {
  const unsigned = (text: string): string => text.replace(/gpgsig [^]*? -----END SSH SIGNATURE-----\n/, '');
  const forgeries: [string, (text: string) => string][] = [
    ['without a signature', unsigned],
    ['with a higher generation', (text) => text.replace('Foremesh-Generation: 7', 'Foremesh-Generation: 8')],
    ['with a lower generation', (text) => text.replace('Foremesh-Generation: 7', 'Foremesh-Generation: 6')],
    ['with another decision', (text) => text.replace('Foremesh-Decision: auto', 'Foremesh-Decision: reviewed')],
    ['with another author', (text) => text.replace('author Foremesh', 'author Nobody')],
    ['with a parent added', (text) => text.replace('\nauthor', `\nparent ${'a'.repeat(40)}\nauthor`)],
    ['with the signature twice', (text) => text.replace(/(gpgsig [^]*? -----END SSH SIGNATURE-----\n)/, '$1$1')],
    ['with an unsigned header behind the signature', (text) => text.replace(' -----END SSH SIGNATURE-----\n', ' -----END SSH SIGNATURE-----\nencoding x\n')],
    ['with the signature in a header of another name', (text) => text.replace('gpgsig ', 'gpgsig-sha256 ')],
    ['with another spelling of its signature', (text) => text.replace(' -----END SSH', ' \n -----END SSH')],
    ['with words behind the trailers', (text) => `${text}\nmore\n`],
  ];
  it.each(forgeries)('is refused %s', async (_, change) => {
    const forged = withCommitText(change);
    expect(forged.commit).not.toBe(good.commit);
    await expect(verify(forged)).rejects.toMatchObject(INVALID);
  });

  it('is refused with any byte of the signed commit changed and its id computed anew', async () => {
    const length = Buffer.from(good.commitObject, 'base64').length;
    await assert(
      asyncProperty(nat(length - 1), integer({ min: 1, max: 255 }), async (position, mask) => {
        const forged = withCommitText((text) => text.slice(0, position) + String.fromCharCode(text.charCodeAt(position) ^ mask) + text.slice(position + 1));
        await expect(verify(forged)).rejects.toMatchObject(INVALID);
      }),
      { numRuns: 60 },
    );
  });

  it('is refused when another key signed it, even under the engine’s name', async () => {
    const stranger = await createSshKey(git.folder, 'stranger');
    const signing = { privateKeyFile: stranger.file, identity: ENGINE };
    const rogue = await openRepository({ dir: join(git.folder, 'mirror.git'), remote: git.forgeDir, signing });
    const files = new Map([[FILE, EXAMPLE_YAML]]);
    const message = `m\n\n${formatTrailers(exampleTrailers())}\n`;
    const commit = await rogue.commit({ parents: [], baseTree: null, replace: { folder: '', files }, message, author: AUTHOR, at: AT });
    const signed = await rogue.prove(commit, NODE);
    await expect(verify(signed)).rejects.toMatchObject(INVALID);
    // the key being listed for a person does not make it the engine's, and a key for reviews signs no plans
    const mixed = join(git.folder, 'mixed');
    await writeFile(mixed, `${allowedSignersLine('alice@example.org', stranger.publicKey)}\n`);
    await appendFile(mixed, `${allowedSignersLine(ENGINE, stranger.publicKey, ['foremesh-review'])}\n`);
    await expect(createVerifier({ node: NODE, allowedSignersFile: mixed, signerIdentity: ENGINE })(signed)).rejects.toMatchObject(INVALID);
  });

  it('is refused when it is the file of another node, under either name', async () => {
    const other = createVerifier({ node: nodeId('paris-gw1'), allowedSignersFile: git.allowedSignersFile, signerIdentity: ENGINE });
    await expect(other(good)).rejects.toMatchObject(INVALID);
    await expect(other({ ...good, node: nodeId('paris-gw1') })).rejects.toMatchObject(INVALID);
    const theirs = await git.repository.prove(good.commit, nodeId('paris-gw1'));
    await expect(verify(theirs)).rejects.toMatchObject(INVALID);
    await expect(verify({ ...theirs, node: NODE })).rejects.toMatchObject(INVALID);
  });

  it('is refused when the file says that it is for another node', async () => {
    await expect(verify(await proveYaml(stringify({ ...EXAMPLE_CONFIG, node: 'paris-gw1' }, { aliasDuplicateObjects: false })))).rejects.toMatchObject(INVALID);
  });

  it('is refused when signed but with trailers that are not exactly ours', async () => {
    const lines = formatTrailers(exampleTrailers()).split('\n');
    for (const text of [lines.slice(1).join('\n'), [...lines, 'Signed-off-by: x'].join('\n'), lines.toReversed().join('\n'), '']) {
      await expect(verify(await proveYaml(EXAMPLE_YAML, text))).rejects.toMatchObject(INVALID);
    }
  });

  it('is refused when the signers file is missing', async () => {
    await expect(createVerifier({ node: NODE, allowedSignersFile: '/nowhere', signerIdentity: ENGINE })(good)).rejects.toMatchObject(INVALID);
  });
});

describe('a validly signed config with a fault in its file', () => {
  const bad: [string, string][] = [
    ['an alias', EXAMPLE_YAML.replace('site: berlin', 'site: &a berlin').replace('name: fibre', 'name: *a')],
    ['a tag', EXAMPLE_YAML.replace('site: berlin', 'site: !!js/function berlin')],
    ['a key twice', `${EXAMPLE_YAML}serving: true\n`],
    ['an unknown key', `${EXAMPLE_YAML}extra: 1\n`],
    ['a proto key', `${EXAMPLE_YAML}__proto__: {}\n`],
    ['two documents', `${EXAMPLE_YAML}---\na: 1\n`],
    ['a YAML directive', `%YAML 1.1\n---\n${EXAMPLE_YAML}`],
    ['20,000 brackets', '['.repeat(20_000)],
    ['20,000 dashes', '- '.repeat(20_000)],
    ['nothing in it', ''],
    ['a list', '- 1\n'],
  ];
  it.each(bad)('is refused for %s', async (_, yaml) => {
    await expect(verify(await proveYaml(yaml))).rejects.toMatchObject({ ...INVALID, what: expect.stringMatching(/its file/) as unknown });
  });
});

describe('the form of a node config', () => {
  const refused: [string, (config: Record<string, never>) => unknown][] = [
    ['an interface name with a space', (c) => ({ ...c, lan: { interface: 'lan x', address: '10.1.0.1', prefixes: [] } })],
    ['an interface name that is an option', (c) => ({ ...c, lan: { interface: '-x', address: '10.1.0.1', prefixes: [] } })],
    ['an interface name with a line break', (c) => ({ ...c, lan: { interface: 'lan\n', address: '10.1.0.1', prefixes: [] } })],
    ['a LAN address that is none', (c) => ({ ...c, lan: { interface: 'lan', address: '10.1.0.1/33', prefixes: [] } })],
    ['a prefix with host bits', (c) => ({ ...c, protectedPrefixes: ['10.0.0.1/8'] })],
    ['an octal address', (c) => ({ ...c, uplinks: [{ name: 'fibre', interface: 'wan0', address: '010.1.1.1' }] })],
    ['a number as text', (c) => ({ ...c, sampleIntervalMs: '10000' })],
    ['a negative interval', (c) => ({ ...c, probe: { intervalMs: -1, downAfter: 4, holdDownMs: 0, holdDownMaxMs: 0 } })],
    ['a field missing', ({ serving: _serving, ...rest }) => rest],
    ['a steering to an unknown class', (c) => ({ ...c, classes: [] })],
    ['a steering into an unknown tunnel', (c) => ({ ...c, tunnels: [] })],
    ['a tunnel twice', (c) => ({ ...c, tunnels: [...EXAMPLE_CONFIG.tunnels, ...EXAMPLE_CONFIG.tunnels] })],
    ['an unknown cipher', (c) => ({ ...c, tunnels: [{ ...EXAMPLE_CONFIG.tunnels[0], ike: [{ ...EXAMPLE_CONFIG.tunnels[0]!.ike[0], encryption: 'rot13' }] }] })],
    ['a peer without an address that is not to begin', (c) => ({ ...c, tunnels: [{ ...EXAMPLE_CONFIG.tunnels[0], initiatorNumber: 1, remote: { overlay: '10.255.0.1' } }] })],
    ['a peer without an address that nothing tells from others', (c) => ({ ...c, tunnels: [{ ...EXAMPLE_CONFIG.tunnels[0], initiator: false, remote: { overlay: '10.255.0.1' } }] })],
    ['no cipher at all', (c) => ({ ...c, tunnels: [{ ...EXAMPLE_CONFIG.tunnels[0], ike: [] }] })],
  ];
  it.each(refused)('is refused with %s', (_, change) => {
    expect(checkNodeConfig(change(parse(EXAMPLE_YAML) as Record<string, never>))).toMatchObject({ ok: false });
  });
});

describe('git objects', () => {
  it('are never misread, whatever the bytes are', () => {
    assert(
      property(string({ unit: 'binary', maxLength: 200 }), (text) => {
        const bytes = Buffer.from(text);
        expect(findTreeEntry(bytes, 'plan')).toBeNull();
        expect(parseCommit(bytes)).toBeNull();
      }),
    );
  });

  it('have the ids that git gives them', () => {
    expect(objectId('blob', Buffer.from('hello\n'))).toBe('ce013625030ba8dba906f756967f9e9ca394464a');
    expect(objectId('tree', Buffer.alloc(0))).toBe('4b825dc642cb6eb9a060e54bf8d69288fbee4904');
  });

  it('with a name twice in a tree lead nowhere', () => {
    const entry = Buffer.concat([Buffer.from('40000 plan\0'), Buffer.alloc(20, 1)]);
    expect(findTreeEntry(entry, 'plan')).toEqual({ mode: '40000', sha: '01'.repeat(20) });
    expect(findTreeEntry(Buffer.concat([entry, entry]), 'plan')).toBeNull();
    expect(findTreeEntry(entry.subarray(0, 25), 'plan')).toBeNull();
  });
});
