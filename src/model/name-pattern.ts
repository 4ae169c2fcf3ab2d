/** A host name, lower case; its leftmost label may be `*`, for one label or more in its place. */
export const HOST_NAME_PATTERN = '^(?:\\*\\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$';

/**
 * True when a host name is what a pattern means: itself, or any name below it for `*.` (not the name itself, as in
 * certificates, but more than one label, as in DNS: RFC 4592).
 * @param name  lower case, no dot at the end
 */
export function matchesHostName(pattern: string, name: string): boolean {
  return pattern.startsWith('*.') ? name.length > pattern.length - 1 && name.endsWith(pattern.slice(1)) : name === pattern;
}
