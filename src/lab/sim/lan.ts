import type { LanLink, LanPort } from '../../../agent/standby/index.ts';
import type { Cancel, Clock } from '../../base/index.ts';
import type { NodeId } from '../../model/index.ts';

/** A packet between two gateways of a LAN takes this long, ms. */
const DELAY_MS = 0.2;

interface Member {
  isConnected: boolean;
  /** What it sends to other gateways is lost, though it hears them. */
  isMute: boolean;
  own: string | null;
  onPacket: (packet: Uint8Array) => void;
  /** The shared addresses that its kernel has, with what ends each lease. */
  leases: Map<string, Cancel>;
}

/** The LAN of one site: its gateways, and where its hosts believe the gateway addresses to be. */
export class SimLan {
  readonly #clock: Clock;
  readonly #members = new Map<NodeId, Member>();
  readonly #believed = new Map<string, NodeId>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Who gets what hosts send to a gateway address, by default the one that was announced first: whoever announced it last,
   * wherever it is now; null when that one is not there.
   */
  gateway(address = this.addresses()[0]): NodeId | null {
    const node = address === undefined ? undefined : this.#believed.get(address);
    return node !== undefined && this.isConnected(node) ? node : null;
  }

  /** The gateway addresses that hosts have heard of. */
  addresses(): string[] {
    return [...this.#believed.keys()];
  }

  /** Gateways whose kernel has a shared address, by default any. */
  owners(address?: string): NodeId[] {
    return [...this.#members].filter(([, { leases }]) => (address === undefined ? leases.size > 0 : leases.has(address))).map(([node]) => node);
  }

  isConnected(node: NodeId): boolean {
    return this.#member(node).isConnected;
  }

  setConnected(node: NodeId, isConnected: boolean): void {
    this.#member(node).isConnected = isConnected;
  }

  setMute(node: NodeId, isMute: boolean): void {
    this.#member(node).isMute = isMute;
  }

  /** As a machine without power: off the LAN, and all its addresses forgotten. */
  powerOff(node: NodeId): void {
    const member = this.#member(node);
    for (const cancel of member.leases.values()) cancel();
    member.leases.clear(); // for whoever still has a link to what it was
    member.isConnected = false;
    this.#members.set(node, { ...newMember(), isConnected: false });
  }

  /** @param isReady  the gateway has its own address here */
  portOf(node: NodeId, isReady: () => boolean): LanPort {
    return {
      open: (_settings, own, onPacket): LanLink => {
        const member = this.#member(node);
        [member.own, member.onPacket] = [own, onPacket];
        return {
          isUp: () => member.isConnected && isReady(),
          hasAddress: (address) => member.leases.has(address),
          send: (to, packet) => this.#send(member, to, packet),
          take: ({ address }, leaseMs, announce) => this.#take(node, member, address, leaseMs, announce),
          giveUp: ({ address }) => {
            member.leases.get(address)?.();
            member.leases.delete(address);
          },
          close: () => {
            if (member.onPacket === onPacket) [member.own, member.onPacket] = [null, () => undefined];
          },
        };
      },
    };
  }

  #send(from: Member, to: string, packet: Uint8Array): void {
    const copy = Uint8Array.from(packet);
    this.#clock.setTimer(DELAY_MS, () => {
      const target = [...this.#members.values()].find((member) => member.own === to);
      if (from.isConnected && !from.isMute && target?.isConnected) target.onPacket(copy);
    });
  }

  #take(node: NodeId, member: Member, address: string, leaseMs: number | null, announce: boolean): void {
    member.leases.get(address)?.();
    member.leases.set(address, leaseMs === null ? () => undefined : this.#clock.setTimer(leaseMs, () => void member.leases.delete(address)));
    if (announce && member.isConnected) this.#believed.set(address, node);
  }

  #member(node: NodeId): Member {
    let member = this.#members.get(node);
    if (!member) {
      member = newMember();
      this.#members.set(node, member);
    }
    return member;
  }
}

function newMember(): Member {
  return { isConnected: true, isMute: false, own: null, onPacket: () => undefined, leases: new Map() };
}
