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
  hasAddress: boolean;
  cancelLease: Cancel;
}

/** The LAN of one site: its gateways, and where its hosts believe the gateway address to be. */
export class SimLan {
  readonly #clock: Clock;
  readonly #members = new Map<NodeId, Member>();
  #believed: NodeId | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Who gets what hosts send to the gateway address: whoever announced it last, wherever it is now; null when that one is not there. */
  gateway(): NodeId | null {
    return this.#believed !== null && this.isConnected(this.#believed) ? this.#believed : null;
  }

  /** Gateways whose kernel has the shared address. */
  owners(): NodeId[] {
    return [...this.#members].filter(([, member]) => member.hasAddress).map(([node]) => node);
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
    member.cancelLease();
    Object.assign(member, { isConnected: false, hasAddress: false }); // for whoever still has a link to what it was
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
          hasAddress: () => member.hasAddress,
          send: (to, packet) => this.#send(member, to, packet),
          take: (leaseMs, announce) => this.#take(node, member, leaseMs, announce),
          giveUp: () => {
            member.cancelLease();
            member.hasAddress = false;
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

  #take(node: NodeId, member: Member, leaseMs: number | null, announce: boolean): void {
    member.cancelLease();
    member.hasAddress = true;
    if (leaseMs !== null) {
      member.cancelLease = this.#clock.setTimer(leaseMs, () => {
        member.hasAddress = false;
      });
    }
    if (announce && member.isConnected) this.#believed = node;
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
  return { isConnected: true, isMute: false, own: null, onPacket: () => undefined, hasAddress: false, cancelLease: () => undefined };
}
