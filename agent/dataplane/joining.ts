import type { DataplaneWanted } from '../ports.ts';
import { type Change, ipChange } from './commands.ts';
import { receivesCopies } from './copies.ts';
import type { Observed } from './observe.ts';

/** The kernel's default: packets of one TCP connection that arrive together pass all rules as one of up to so many bytes (GRO). */
const JOINED_MAX_BYTES = 65_536;
/** Less than two packets. */
const SINGLE_BYTES = 1;

/**
 * Where packets come twice they must not be joined on arrival: of two copies only one could be (the reserved header bit
 * keeps the other's packets single), so they would not be known as partners, and what was joined would be dropped as a
 * whole for the sake of its first packet. Kernels before 5.19 cannot be told and are left as they are.
 * @param fresh  interfaces that are made in this very apply, which have the kernel's default
 */
export function joiningChanges({ config, interfaces }: DataplaneWanted, observed: Observed, fresh: ReadonlySet<string>): Change[] {
  if (observed.links.every(({ joinedMaxBytes }) => joinedMaxBytes === null)) return [];
  const isSingle = receivesCopies(config);
  const bytes = isSingle ? SINGLE_BYTES : JOINED_MAX_BYTES;
  return interfaces
    .filter(({ tunnel }) => (fresh.has(tunnel) ? JOINED_MAX_BYTES : observed.links.find(({ name }) => name === tunnel)?.joinedMaxBytes ?? bytes) !== bytes)
    .map(({ tunnel }) => ipChange(`packets of ${tunnel} ${isSingle ? 'stay single' : 'may be joined'} on arrival`, `link set ${tunnel} gro_max_size ${bytes}`));
}
