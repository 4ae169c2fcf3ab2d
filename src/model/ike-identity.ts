import type { NodeId } from './ids.ts';

/** So many uplinks of a node have IKE identities of their own in its certificate: as many as a node may have. */
export const NUMBERED_UPLINKS_MAX = 16;

/**
 * The IKE identity of a node, or of one of its uplinks, numbered from 1: where the peer does not know from which address a
 * tunnel will come (NAT), this tells it which of the node's tunnels it is. All of them stand in the node's certificate.
 */
export function ikeIdentity(node: NodeId, uplinkNumber?: number): string {
  return uplinkNumber === undefined ? node : `u${uplinkNumber}@${node}`;
}

/** The node that an IKE identity belongs to. */
export function nodeOfIkeIdentity(identity: string): NodeId {
  return identity.slice(identity.indexOf('@') + 1) as NodeId;
}
