import { ForemeshError, readFileIfExists, writeFileAtomic, type Clock } from '../base/index.ts';
import type { NodeId, Revocation } from '../model/index.ts';

/** A certificate that is still valid, as far as its revocation needs it. */
interface IssuedRecord {
  node: NodeId;
  serial: string;
  /** sha256 of the public key (SPKI, DER), hex. */
  keySha256: string;
  endsAt: number;
}

interface RevocationState {
  schema: 'foremesh/revocations/v1';
  /** Of the newest CRL; rises with every revocation. */
  number: number;
  issued: IssuedRecord[];
  revoked: (Revocation & { why: string; by: string })[];
}

/** Longest `why` and `by`, characters. */
const TEXT_MAX = 500;

/** Which keys count no more, for ever, and which certificates they are in. */
export interface RevocationStore {
  /** On disk before the certificate is handed out. @throws ForemeshError CA_KEY_REVOKED */
  noteIssued(record: IssuedRecord): Promise<void>;
  /** @throws ForemeshError CA_KEY_REVOKED */
  refuseRevoked(keySha256: string): void;
  isRevoked(keySha256: string): boolean;
  /** Revokes every key of the node that a certificate was issued for and that has not ended; those that are revoked already stay so. Gives the new ones. */
  revoke(node: NodeId, why: string, by: string): Promise<RevocationState['revoked']>;
  list(): RevocationState['revoked'];
  /** Number and serials of the CRL of now. */
  crl(): { number: number; entries: { serial: string; revokedAt: number }[] };
}

/** One file, replaced as a whole; changes take turns. @throws ForemeshError STATE_DAMAGED: what is revoked must not come back by a bad disk */
export async function openRevocationStore(file: string, clock: Clock): Promise<RevocationStore> {
  let state = await load(file);
  let last: Promise<unknown> = Promise.resolve();

  function change(edit: (from: RevocationState) => RevocationState): Promise<void> {
    const write = async (): Promise<void> => {
      const wanted = edit(state);
      await writeFileAtomic(file, `${JSON.stringify(wanted, null, 2)}\n`, 0o600);
      state = wanted;
    };
    const task = last.then(write);
    last = task.catch(() => undefined); // the caller gets the error
    return task;
  }

  function refuseRevoked(keySha256: string): void {
    if (!isRevoked(keySha256)) return;
    throw new ForemeshError('CA_KEY_REVOKED', { what: `the key ${keySha256.slice(0, 16)}… was revoked`, fix: 'remove node.key and node.crt on the node, and enrol it again with a new join token' });
  }

  const isRevoked = (keySha256: string): boolean => state.revoked.some((entry) => entry.keySha256 === keySha256);

  return {
    refuseRevoked,
    isRevoked,
    async noteIssued(record) {
      await change((from) => ({ ...from, issued: [...from.issued.filter(({ endsAt }) => endsAt > clock.now()), record] }));
      refuseRevoked(record.keySha256); // it may have been revoked while this waited for its turn
    },
    async revoke(node, why, by) {
      let added: RevocationState['revoked'] = [];
      await change((from) => {
        const keys = new Set(from.issued.filter((record) => record.node === node && record.endsAt > clock.now()).map(({ keySha256 }) => keySha256));
        for (const { keySha256 } of from.revoked) keys.delete(keySha256);
        added = [...keys].map((keySha256) => ({ node, keySha256, revokedAt: clock.now(), why: why.slice(0, TEXT_MAX), by: by.slice(0, TEXT_MAX) }));
        return added.length === 0 ? from : { ...from, number: from.number + 1, revoked: [...from.revoked, ...added] };
      });
      return added;
    },
    list: () => [...state.revoked],
    crl: () => ({
      number: state.number,
      entries: state.issued.flatMap(({ serial, keySha256 }) => state.revoked.filter((entry) => entry.keySha256 === keySha256).map(({ revokedAt }) => ({ serial, revokedAt }))),
    }),
  };
}

async function load(file: string): Promise<RevocationState> {
  const text = await readFileIfExists(file);
  if (text === null) return { schema: 'foremesh/revocations/v1', number: 0, issued: [], revoked: [] };
  try {
    const state = JSON.parse(text) as RevocationState;
    if (state.schema === 'foremesh/revocations/v1' && Array.isArray(state.issued) && Array.isArray(state.revoked) && Number.isSafeInteger(state.number)) return state;
  } catch {
    // told below, together with a file of another form
  }
  throw new ForemeshError('STATE_DAMAGED', { what: `${file} is damaged`, fix: 'restore it from a backup; without it revoked keys would be taken again' });
}
