/** Counters of one network interface. */
export interface InterfaceCounters {
  name: string;
  rxBytes: number;
  txBytes: number;
  rxPackets: number;
  txPackets: number;
}

/** `name: bytes packets errs drop fifo frame compressed multicast bytes packets …` */
const LINE = /^ *([^\s:|]+): *(\d+) +(\d+)(?: +\d+){6} +(\d+) +(\d+)/gm;

/** The text of `/proc/net/dev`; lines that do not look like it are left out. */
export function parseNetDev(text: string): InterfaceCounters[] {
  const found: InterfaceCounters[] = [];
  for (const match of text.matchAll(LINE)) found.push({ name: match[1]!, rxBytes: Number(match[2]), txBytes: Number(match[4]), rxPackets: Number(match[3]), txPackets: Number(match[5]) });
  return found;
}
