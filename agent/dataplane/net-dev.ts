/** Counters of one network interface. */
export interface InterfaceCounters {
  name: string;
  rxBytes: number;
  txBytes: number;
  rxPackets: number;
  txPackets: number;
}

/** The text of `/proc/net/dev`; lines that do not look like it are left out. */
export function parseNetDev(text: string): InterfaceCounters[] {
  return text
    .split('\n')
    .slice(2)
    .flatMap((line) => {
      const [name = '', figures = ''] = line.split(':');
      const [rxBytes, rxPackets, , , , , , , txBytes, txPackets] = figures.trim().split(/\s+/).map(Number);
      return txPackets === undefined ? [] : [{ name: name.trim(), rxBytes: rxBytes!, txBytes: txBytes!, rxPackets: rxPackets!, txPackets }];
    });
}
