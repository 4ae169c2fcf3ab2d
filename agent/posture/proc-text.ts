/** Linux counts processor time in hundredths of a second for user space (USER_HZ), on every architecture we run on. */
const TICK_MS = 10;
const PAGE_BYTES = 4096;

/** `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal of all cores; idle and iowait are not busy. */
export function parseCpu(text: string): { cpuBusyMs: number; cpuTotalMs: number } {
  const ticks = (/^cpu +([0-9 ]+)$/m.exec(text)?.[1] ?? '').split(' ').map(Number).slice(0, 8);
  const total = ticks.reduce((sum, value) => sum + value, 0);
  const idle = (ticks[3] ?? 0) + (ticks[4] ?? 0);
  return { cpuBusyMs: (total - idle) * TICK_MS, cpuTotalMs: total * TICK_MS };
}

/** `/proc/meminfo`; used is what is not available to a new program. */
export function parseMemory(text: string): { memoryUsedBytes: number; memoryTotalBytes: number } {
  const bytesOf = (name: string): number => Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) * 1024;
  const memoryTotalBytes = bytesOf('MemTotal');
  return { memoryTotalBytes, memoryUsedBytes: Math.max(0, memoryTotalBytes - bytesOf('MemAvailable')) };
}

export function parseLoad(text: string): number {
  return Number(text.split(' ')[0]) || 0;
}

/** `/proc/PID/stat`; null when it is none. The name may hold anything, so fields are counted from its last bracket. */
export function parseProcess(text: string): { pid: number; name: string; cpuMs: number; rssBytes: number } | null {
  const end = text.lastIndexOf(')');
  const start = text.indexOf('(');
  const fields = text.slice(end + 2).split(' ').map(Number);
  if (start < 0 || end < start || fields.length < 22) return null;
  // counted from 3, the state: utime is field 14, stime 15, rss 24
  return { pid: Number(text.slice(0, start)), name: text.slice(start + 1, end), cpuMs: (fields[11]! + fields[12]!) * TICK_MS, rssBytes: fields[21]! * PAGE_BYTES };
}
