import { createHash, X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { Socket } from 'node:net';
import { isName, nodeId, nodeOfIkeIdentity, type NodeId } from '../model/index.ts';

/** Who is at the other end of a TLS connection, by a certificate of our CA that is valid now. */
export interface Peer {
  node: NodeId;
  /** End of the certificate, epoch ms. */
  validUntil: number;
  /** sha256 of its public key (SPKI, DER), hex. */
  keySha256: string;
}

const NODE_URI = /^URI:spiffe:\/\/[a-z0-9.-]+\/node\/([a-z0-9-]+)$/;

/** IKE identities of the node's uplinks. */
const MAIL = 'email:';

/** The node that a client certificate names, in its DNS name and its SPIFFE name alike, and no other; null without a valid certificate of a node. */
export function peerOf(socket: Socket, now: number): Peer | null {
  const tls = socket as TLSSocket;
  if (!tls.authorized) return null;
  const { subjectaltname = '', valid_to: validTo, raw } = tls.getPeerCertificate();
  const names = subjectaltname.split(', ');
  const name = names.map((each) => NODE_URI.exec(each)?.[1]).find((each) => each !== undefined);
  const validUntil = Date.parse(validTo ?? '');
  if (name === undefined || !isName(name) || !names.includes(`DNS:${name}`) || !(validUntil > now)) return null;
  const [identities, others] = [names.filter((each) => each.startsWith(MAIL)), names.filter((each) => !each.startsWith(MAIL))];
  if (others.length !== 2 || identities.some((each) => nodeOfIkeIdentity(each.slice(MAIL.length)) !== name)) return null;
  const keySha256 = createHash('sha256').update(new X509Certificate(raw).publicKey.export({ format: 'der', type: 'spki' })).digest('hex');
  return { node: nodeId(name), validUntil, keySha256 };
}
