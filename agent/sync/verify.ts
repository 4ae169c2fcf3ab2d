import type * as Yaml from 'yaml';
import { ForemeshError, isSshSignatureValid, requireCommonJs } from '../../src/base/index.ts';
import { messageBody, parseTrailers, type LiveTrailers, type NodeConfig, type NodeId, type SignedConfig } from '../../src/model/index.ts';
import { checkNodeConfig } from './node-config-schema.ts';
import { findTreeEntry, objectId, parseCommit, type CommitParts } from './objects.ts';

const { parseDocument, visit } = requireCommonJs<typeof Yaml>('yaml');

/** A config whose every byte is covered by the engine's signature. Whether it is new enough is for the caller to judge. */
export interface VerifiedConfig {
  commit: string;
  generation: number;
  /** What it was computed against, or `none`. */
  parent: string;
  decision: LiveTrailers['decision'];
  /** When the signed commit was made, epoch ms. */
  signedAt: number;
  config: NodeConfig;
}

export interface VerifierOptions {
  node: NodeId;
  /** In ssh's format; delivered at enrolment. Read at each call, so a new one counts at once. */
  allowedSignersFile: string;
  /** The engine's principal in that file. */
  signerIdentity: string;
}

const COMMIT_BYTES_MAX = 65_536;
const TREE_BYTES_MAX = 1_048_576;
const BLOB_BYTES_MAX = 1_048_576;
const FOLDER_MODE = '40000';
const FILE_MODES = ['100644', '100755'];
const DEPTH_MAX = 32;

/**
 * Builds the check that every config passes before an agent looks into it. In this order: sizes; the chain of Git object
 * ids from commit over root, plan and plan/nodes to the file of exactly this node; the SSH signature over the commit; the
 * trailers; the YAML, read without tags, aliases and duplicate keys; its schema; the node's name in it.
 * The check throws ForemeshError AGENT_PLAN_INVALID and changes nothing anywhere.
 */
export function createVerifier(options: VerifierOptions): (signed: SignedConfig) => Promise<VerifiedConfig> {
  return async (signed) => {
    const { commit, blob } = checkChain(signed, options.node);
    await checkSignature(commit, options);
    const trailers = parseTrailers(messageBody(commit.message));
    if (!trailers) throw invalid('its commit has no valid trailers');
    if (trailers.parent !== 'none' && trailers.parent !== commit.parents[0]) throw invalid('its trailers name another parent than its commit has');
    const checked = checkNodeConfig(parseYaml(blob));
    if (!checked.ok) throw invalid(`its file does not have the form of a node config: ${checked.what}`);
    if (checked.config.node !== options.node) throw invalid(`it is for ${checked.config.node}, not for ${options.node}`);
    const { generation, parent, decision } = trailers;
    return { commit: signed.commit, generation, parent, decision, signedAt: commit.committedAt, config: checked.config };
  };
}

/** Follows the ids from the commit to the file; whatever is brought along besides is refused with it. */
function checkChain(signed: SignedConfig, node: NodeId): { commit: CommitParts; blob: Buffer } {
  if (signed.schema !== 'foremesh/signed-config/v1') throw invalid('it has an unknown schema');
  if (signed.node !== node) throw invalid(`it is for another node than ${node}`);
  if (!Array.isArray(signed.trees) || signed.trees.length !== 3) throw invalid('it does not hold three trees');
  const commitObject = decodeBase64(signed.commitObject, COMMIT_BYTES_MAX, 'commit');
  const commit = parseCommit(commitObject);
  if (!commit || objectId('commit', commitObject) !== signed.commit) throw invalid('its commit does not have the id that it claims');
  const names = ['plan', 'nodes', `${node}.yaml`];
  let expected = commit.tree;
  for (const [index, name] of names.entries()) {
    const tree = decodeBase64(signed.trees[index], TREE_BYTES_MAX, 'tree');
    const entry = objectId('tree', tree) === expected ? findTreeEntry(tree, name) : null;
    const isFile = index === names.length - 1;
    if (!entry || !(isFile ? FILE_MODES.includes(entry.mode) : entry.mode === FOLDER_MODE)) throw invalid(`its trees do not lead to ${names.join('/')}`);
    expected = entry.sha;
  }
  const blob = decodeBase64(signed.blob, BLOB_BYTES_MAX, 'file');
  if (objectId('blob', blob) !== expected) throw invalid('its file is not the one of its commit');
  return { commit, blob };
}

async function checkSignature(commit: CommitParts, { allowedSignersFile, signerIdentity }: VerifierOptions): Promise<void> {
  const { signature, payload } = commit;
  if (signature === null) throw invalid('its commit is not signed');
  const isValid = await isSshSignatureValid({ allowedSignersFile, identity: signerIdentity, namespace: 'git', signature, message: payload });
  if (!isValid) throw invalid(`its commit is not signed by ${signerIdentity} with a key of this node's signers file`);
}

/** Plain data of the YAML 1.2 core schema. What is nested too deep never reaches the parser, which would run out of stack. */
function parseYaml(bytes: Buffer): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw invalid('its file is not UTF-8', cause);
  }
  if (isNestedTooDeep(text) || text.startsWith('%')) throw invalid('its file is not plain YAML');
  const document = parseDocument(text, { version: '1.2', schema: 'core', uniqueKeys: false, merge: false, logLevel: 'error' });
  if (document.errors.length > 0 || document.warnings.length > 0) throw invalid('its file is not valid YAML');
  visit(document, {
    Alias: () => {
      throw invalid('its file holds a YAML alias');
    },
    Map: (_, map) => {
      const keys = map.items.map(({ key }) => (key !== null && typeof key === 'object' && 'value' in key ? key.value : null));
      const isPlain = keys.every((key) => typeof key === 'string' && key !== '__proto__');
      if (!isPlain || new Set(keys).size !== keys.length) throw invalid('its file holds a key twice, or one that is no text');
    },
  });
  return document.toJS({ maxAliasCount: 0 }) as unknown;
}

function isNestedTooDeep(text: string): boolean {
  let depth = 0;
  for (const character of text) {
    if (character === '[' || character === '{') depth++;
    else if (character === ']' || character === '}') depth--;
    if (depth > DEPTH_MAX) return true;
  }
  return new RegExp(`^ {${DEPTH_MAX * 4}}|(?:[-?:][ \\t]+){${DEPTH_MAX}}`, 'm').test(text);
}

/** The bytes of base64 in its one canonical spelling, so that no bit of it can differ unnoticed. */
function decodeBase64(text: unknown, bytesMax: number, what: string): Buffer {
  if (typeof text !== 'string' || text.length > Math.ceil(bytesMax / 3) * 4) throw invalid(`its ${what} is missing or too large`);
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length > bytesMax || bytes.toString('base64') !== text) throw invalid(`its ${what} is torn or too large`);
  return bytes;
}

function invalid(what: string, cause?: unknown): ForemeshError {
  return new ForemeshError('AGENT_PLAN_INVALID', {
    what: `a config was refused: ${what}`,
    fix: 'look at the commit on mesh/live and its signature; enrol the node again if its signers file is old',
    ...(cause === undefined ? {} : { cause }),
  });
}
