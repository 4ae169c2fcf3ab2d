/** One thing to do to the kernel. */
export type Command =
  /** A line of `ip -batch`; `family` only where the line itself does not show that it is about IPv6. */
  | { do: 'ip'; line: string; family?: 'ipv6' }
  /** Transactions for `nft -f`, one after the other; the first that fails is the last. */
  | { do: 'nft'; transactions: readonly string[] }
  /** A line of `tc -batch`, and what to do where the kernel does not know this kind of queue. */
  | { do: 'tc'; line: string; otherwise: string | null }
  | { do: 'sysctl'; name: string; value: string }
  /** Tells the LAN by gratuitous ARP that the addresses of this interface are here now. */
  | { do: 'announce'; interface: string; mac: string };

/** One difference and what removes it. */
export interface Change {
  /** For people: what will be different. */
  says: string;
  commands: Command[];
}

/**
 * Changes in the order of their phases. Within a phase all are tried; when one fails, the phases after it are not
 * begun: nothing old is taken away before everything new stands.
 */
export type Phases = Change[][];

export function ipChange(says: string, ...lines: string[]): Change {
  return { says, commands: lines.map((line) => ({ do: 'ip', line })) };
}
