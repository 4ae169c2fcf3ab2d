import { sharedPrefixes } from '../../src/base/index.ts';
import type { NodeConfig } from '../../src/model/index.ts';

/**
 * What makes a config impossible to carry out, one line each; [] when it can be. Checked before anything is kept or
 * changed: nftables refuses two sites that share addresses (one lookup, two answers), and the kernel takes of two
 * routes or interfaces with one name the later, in silence.
 */
export function contradictions(config: NodeConfig): string[] {
  return [...siteOverlaps(config), ...repeated('tunnel', config.tunnels.map(({ id }) => id)), ...repeated('overlay address', config.tunnels.map(({ local }) => local.overlay)), ...laneConflicts(config)];
}

function siteOverlaps({ sites }: NodeConfig): string[] {
  const shared = sharedPrefixes(sites.flatMap(({ id, prefixes }) => prefixes.map((prefix) => ({ owner: id, prefix }))));
  return shared.filter(({ one, other }) => one !== other).map(({ one, other, prefix }) => `sites ${one} and ${other} share addresses of ${prefix}`);
}

function repeated(what: string, names: readonly string[]): string[] {
  const seen = new Set<string>();
  const twice = names.filter((name) => seen.size === seen.add(name).size);
  return [...new Set(twice)].map((name) => `${what} ${name} is there twice`);
}

/** A mark is a routing table: two lanes may share one only when they lead to the same place in the same order. */
function laneConflicts({ steering }: NodeConfig): string[] {
  const contents = new Map<number, Set<string>>();
  for (const { prefixes, lanes } of steering) {
    for (const { mark, tunnels } of lanes) contents.set(mark, (contents.get(mark) ?? new Set()).add(JSON.stringify([prefixes, tunnels])));
  }
  return [...contents].filter(([, different]) => different.size > 1).map(([mark]) => `lane ${mark} has two meanings`);
}
