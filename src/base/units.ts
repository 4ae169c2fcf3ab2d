const DURATION_PART = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)/;
const MS_PER: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `'5m'`, `'250ms'`, `'1h30m'`, `'7d'`; null when the text is not such a duration (a bare number is not). */
export function parseDurationMs(text: string): number | null {
  let rest = text.trim();
  if (rest.length === 0 || rest.length > 64) return null;
  let totalMs = 0;
  while (rest.length > 0) {
    const part = DURATION_PART.exec(rest);
    if (!part) return null;
    totalMs += Number(part[1]) * MS_PER[part[2]!]!;
    rest = rest.slice(part[0].length);
  }
  return Number.isFinite(totalMs) ? totalMs : null;
}

const BANDWIDTH = /^(\d+(?:\.\d+)?)\s?(kbps|Mbps|Gbps|Tbps)$/;
const MBPS_PER: Record<string, number> = { kbps: 0.001, Mbps: 1, Gbps: 1000, Tbps: 1_000_000 };

/** Mbit/s (10^6 bit/s) of `'200Mbps'`, `'1.5Gbps'`; null when it is not a bandwidth. */
export function parseBandwidthMbps(text: string): number | null {
  const match = text.length > 64 ? null : BANDWIDTH.exec(text.trim());
  return match ? Number(match[1]) * MBPS_PER[match[2]!]! : null;
}

const RATIO = /^(\d+(?:\.\d+)?)\s?%$/;

/** 0…1 of `'0.5%'`; null when it is not a percentage between 0 and 100. */
export function parseRatio(text: string): number | null {
  const match = text.length > 64 ? null : RATIO.exec(text.trim());
  if (!match) return null;
  const ratio = Number(match[1]) / 100;
  return ratio <= 1 ? ratio : null;
}

/** `1h 30m`, `12.5s`, `250ms`: for people. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1000) return `${Math.round(durationMs)}ms`;
  if (durationMs < 60_000) return `${Math.round(durationMs / 100) / 10}s`;
  const minutes = Math.round(durationMs / 60_000);
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  return minutes % 60 === 0 ? `${hours}h` : `${hours}h ${minutes % 60}m`;
}

/** `9.5 Mbit/s`: for people. */
export function formatMbps(bandwidthMbps: number): string {
  return `${bandwidthMbps >= 100 ? Math.round(bandwidthMbps) : Math.round(bandwidthMbps * 10) / 10} Mbit/s`;
}
