import { createSocket, type Socket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import type { Clock, Log } from '../../src/base/index.ts';
import { addressLine, lanAddressesOf } from '../dataplane/lan-address.ts';
import type { LineProgram, Machine } from '../dataplane/machine.ts';
import { addressLabel } from '../dataplane/names.ts';
import type { LanLink, LanPort, SharedAddress, StandbySettings } from './standby.ts';

export interface KernelLanOptions {
  /** UDP port of heartbeats, on our own LAN address only. */
  port: number;
  machine: Machine;
  clock: Clock;
  log: Log;
}

/** What was written to `ip` shows in the kernel within this, ms. */
const SETTLE_MS = 300;
/** Our own address comes with the first `apply`; until then the socket is tried again this often, ms. */
const BIND_RETRY_MS = 200;
/** So many refusals while our address is there, and it is not for us to wait on: somebody else has the port, and hosts need a gateway. */
const BIND_PATIENCE = 25;
const ERROR_LOG_MS = 10_000;

/**
 * The LAN of this network namespace. The shared address is written by a running `ip -batch`, as lanes are, with
 * gratuitous ARP and unsolicited neighbour advertisements by the kernel itself: with `arp_notify` and `ndisc_notify`
 * (which `apply` sets) it announces all addresses of an interface whose MAC is set, also to the value it has.
 */
export function createKernelLan(options: KernelLanOptions): LanPort {
  return { open: (settings, own, onPacket) => new KernelLink(options, settings, own, onPacket) };
}

class KernelLink implements LanLink {
  readonly #options: KernelLanOptions;
  readonly #interface: string;
  readonly #own: string;
  readonly #prefixes: readonly string[];
  readonly #onPacket: (packet: Uint8Array) => void;
  #program: LineProgram | null = null;
  #socket: Socket | null = null;
  #isBound = false;
  /** Until it has once listened it has heard nothing, which says nothing. */
  #wasBound = false;
  #refusals = 0;
  readonly #written = new Map<string, { has: boolean; atMs: number }>();
  #complainedMs = -ERROR_LOG_MS;
  #isClosed = false;

  constructor(options: KernelLanOptions, settings: StandbySettings, own: string, onPacket: (packet: Uint8Array) => void) {
    this.#options = options;
    this.#interface = settings.interface;
    this.#own = own;
    this.#prefixes = settings.prefixes;
    this.#onPacket = onPacket;
    this.#bind();
  }

  isUp(): boolean {
    return (this.#wasBound || this.#refusals >= BIND_PATIENCE) && this.#isOwnThere();
  }

  #isOwnThere(): boolean {
    return this.#addresses().some(({ address }) => address === this.#own); // only interfaces with a carrier are listed
  }

  hasAddress(address: string): boolean {
    const written = this.#written.get(address);
    if (written && this.#options.clock.monotonicMs() - written.atMs < SETTLE_MS) return written.has;
    const [shared] = this.#withLengths({ address });
    return this.#addresses().some(({ cidr }) => cidr === shared);
  }

  send(to: string, packet: Uint8Array): void {
    if (this.#isBound) this.#socket?.send(packet, this.#options.port, to, () => undefined); // not heard is what the others make of an error
  }

  take(seat: SharedAddress, leaseMs: number | null, announce: boolean): void {
    const life = leaseMs === null ? 'forever' : String(Math.ceil(leaseMs / 1000));
    const lines = this.#withLengths(seat).map((address) => `${addressLine('replace', address, this.#interface)} valid_lft ${life} preferred_lft ${life}`);
    const mac = this.#addresses()[0]?.mac;
    if (announce && mac !== undefined) lines.push(`link set ${this.#interface} address ${mac}`);
    this.#write(seat.address, lines, true);
  }

  giveUp(seat: SharedAddress): void {
    this.#write(seat.address, this.#withLengths(seat).map((address) => `addr del ${address} dev ${this.#interface}`), false);
  }

  close(): void {
    this.#isClosed = true;
    this.#socket?.close();
    this.#socket = null;
    this.#program?.stop();
    this.#program = null;
  }

  /** IPv4 first; what has that has the other too. */
  #withLengths({ address, address6 }: SharedAddress): string[] {
    return lanAddressesOf({ address, address6, prefixes: this.#prefixes });
  }

  #addresses(): { address: string; cidr: string | null; mac: string }[] {
    const all = networkInterfaces(); // an address with a label is listed under that
    return [this.#interface, addressLabel(this.#interface)].flatMap((name) => all[name] ?? []);
  }

  #write(address: string, lines: readonly string[], has: boolean): void {
    this.#written.set(address, { has, atMs: this.#options.clock.monotonicMs() });
    this.#program ??= this.#start();
    this.#program.write(`${lines.join('\n')}\n`);
  }

  /** One that was refused a line may remember an interface that was made anew since: the next line goes to another. */
  #start(): LineProgram {
    const program = this.#options.machine.start(
      'ip',
      ['-force', '-batch', '-'],
      (line) => {
        this.#options.log.warn({ line }, 'the LAN address was not changed as wanted');
        if (this.#program === program) this.#program = null;
        program.stop();
      },
      () => {
        if (this.#program === program) this.#program = null;
      },
    );
    return program;
  }

  #bind(): void {
    if (this.#isClosed) return;
    const socket = createSocket({ type: 'udp4', lookup: (host, _options, done) => done(null, host, 4) });
    this.#socket = socket;
    socket.on('message', (packet) => this.#onPacket(packet));
    socket.on('error', (cause) => {
      this.#isBound = false;
      if (this.#isOwnThere()) this.#refusals++;
      const nowMs = this.#options.clock.monotonicMs();
      if (nowMs - this.#complainedMs >= ERROR_LOG_MS) this.#options.log.warn({ error: cause.message, address: this.#own }, 'no heartbeats on the LAN yet');
      this.#complainedMs = nowMs;
      socket.close();
      this.#options.clock.setTimer(BIND_RETRY_MS, () => this.#bind());
    });
    socket.bind({ port: this.#options.port, address: this.#own }, () => {
      this.#isBound = this.#wasBound = true;
    });
  }
}
