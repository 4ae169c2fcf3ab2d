const OFFSET_SECONDS = 2_208_988_800;
const TWO_32 = 2 ** 32;

/** µs since 1970 as 32 bits of seconds since 1900 and 32 bits of their fraction (RFC 5905 §6); good for 136 years from 1970 on. */
export function setNtpUs(view: DataView, at: number, us: number): void {
  const whole = Math.max(0, Math.round(us));
  view.setUint32(at, (Math.floor(whole / 1e6) + OFFSET_SECONDS) % TWO_32);
  view.setUint32(at + 4, Math.ceil(((whole % 1e6) * TWO_32) / 1e6));
}

export function getNtpUs(view: DataView, at: number): number {
  const seconds = (view.getUint32(at) + TWO_32 - OFFSET_SECONDS) % TWO_32;
  return seconds * 1e6 + Math.floor((view.getUint32(at + 4) * 1e6) / TWO_32);
}
