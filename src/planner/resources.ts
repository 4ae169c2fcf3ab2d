import { prefixLengthOf } from './overlay.ts';
import { nodesOf, type Intent, type SiteNode, type Uplink, type UplinkId } from '../model/index.ts';

/**
 * Everything that can run out, numbered: each uplink's up and down direction (limit: capacity × `utilisationMax`) and
 * each node's cryptography (limit: `cryptoMbps`). Slots for tunnels are counted apart, by the ledger.
 */
export class Resources {
  readonly limitsMbps: number[] = [];
  readonly names: string[] = [];
  readonly capacitiesMbps: number[] = [];
  /** Tunnels that the overlay prefix has addresses for. */
  readonly tunnelsMax: number;
  readonly utilisationMax: number;
  readonly #uplinks = new Map<UplinkId, { up: number; down: number }>();
  readonly #crypto = new Map<string, number>();

  constructor(intent: Intent) {
    this.utilisationMax = positive(intent.mesh.utilisationMax);
    this.tunnelsMax = overlayTunnels(intent.mesh.overlayPrefix);
    for (const node of nodesOf(intent)) {
      for (const uplink of node.uplinks) {
        this.#uplinks.set(uplink.id, { up: this.#add(uplink.id, uplink.upMbps, this.utilisationMax), down: this.#add(uplink.id, uplink.downMbps, this.utilisationMax) });
      }
      this.#crypto.set(node.id, this.#add(`${node.id} (crypto)`, node.cryptoMbps, 1));
    }
  }

  of(node: SiteNode, uplink: Uplink): { up: number; down: number; crypto: number } {
    return { ...this.#uplinks.get(uplink.id)!, crypto: this.#crypto.get(node.id)! };
  }

  #add(name: string, capacityMbps: number, share: number): number {
    this.names.push(name);
    this.capacitiesMbps.push(positive(capacityMbps));
    return this.limitsMbps.push(positive(capacityMbps) * share) - 1;
  }
}

function positive(figure: number): number {
  return Number.isFinite(figure) && figure > 0 ? figure : 0;
}

function overlayTunnels(prefix: string): number {
  const length = prefixLengthOf(prefix);
  return length === null ? 0 : Math.max(0, Math.floor((2 ** (32 - length) - 5) / 2));
}
