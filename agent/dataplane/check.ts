import { ForemeshError, isAddress, isNormalAddress, isPrefix } from '../../src/base/index.ts';
import { isName } from '../../src/model/index.ts';
import type { DataplaneWanted } from '../ports.ts';
import { isInterfaceName, isTunnelName, RESERVED_MARKS } from './names.ts';

/**
 * Refuses a wanted state with anything in it that could be read by `ip` or `nft` as more than a name, a number or an
 * address. The config is signed and checked before it comes here; this is the last gate before programs run as root.
 * @throws ForemeshError AGENT_PLAN_INVALID with all faults at once
 */
export function checkWanted(wanted: DataplaneWanted): void {
  const { config } = wanted;
  const faults: string[] = [];
  const check = (isFine: boolean, what: string, value: unknown): void => {
    if (!isFine) faults.push(`${what} ${JSON.stringify(value)}`);
  };
  const checkPrefixes = (prefixes: readonly string[], what: string): void => {
    for (const prefix of prefixes) check(isPrefix(prefix), what, prefix);
  };

  check(isInterfaceName(config.lan.interface), 'LAN interface', config.lan.interface);
  check(isAddressWithLength(config.lan.address), 'LAN address', config.lan.address);
  if (config.lan.address6 !== undefined) check(isAddress6WithLength(config.lan.address6), 'IPv6 LAN address', config.lan.address6);
  checkPrefixes(config.lan.prefixes, 'LAN prefix');
  for (const member of config.lan.shared?.members ?? []) check(isAddress(member.address) && !member.address.includes(':'), 'own LAN address', member.address);
  if (config.lan.shared) for (const address of [config.lan.address, ...(config.lan.shared.others ?? []).map((other) => other.address)]) check(!address.includes(':'), 'shared LAN address', address);
  checkPrefixes(config.protectedPrefixes, 'protected prefix');
  for (const uplink of config.uplinks) {
    check(isInterfaceName(uplink.interface), 'uplink interface', uplink.interface);
    check(isAddress(uplink.address), 'uplink address', uplink.address);
  }
  for (const site of config.sites) {
    check(isName(site.id), 'site', site.id);
    checkPrefixes(site.prefixes, `prefix of site ${site.id}`);
  }
  for (const { name, prefixes } of config.countUsers?.roles ?? []) {
    check(isName(name), 'role', name);
    checkPrefixes(prefixes, `prefix of role ${name}`);
  }
  for (const resolver of config.resolvers ?? []) check(isIpv4(resolver), 'resolver', resolver);
  for (const { id, match, dscp } of config.classes) {
    check(isName(id), 'class', id);
    check(dscp === undefined || isWhole(dscp, 63), `new DSCP of class ${id}`, dscp);
    for (const { ports, dscp, prefixes, fwmark } of match) {
      checkPrefixes(prefixes ?? [], `prefix of class ${id}`);
      check(fwmark === undefined || isWhole(fwmark, 0xffff_ffff), `mark of class ${id}`, fwmark);
      for (const range of ports) check(isWhole(range.from, 65_535) && isWhole(range.to, 65_535) && range.from <= range.to, `ports of class ${id}`, range);
      for (const codePoint of dscp) check(isWhole(codePoint, 63), `DSCP of class ${id}`, codePoint);
    }
  }
  for (const { uplink, rateKbps, classes } of config.shaping ?? []) {
    const rates = [rateKbps, ...classes.map((each) => each.rateKbps)];
    check(rates.every((rate) => isWhole(rate, 1_000_000_000) && rate > 0), `rates of uplink ${uplink}`, rates);
    check(classes.every(({ priority }) => isWhole(priority, 7)), `queue priorities of uplink ${uplink}`, classes);
  }
  for (const { from, to } of config.allow) {
    checkPrefixes(from, 'allowed prefix');
    checkPrefixes(to, 'allowed prefix');
  }
  for (const overlay of wanted.overlayAddresses) check(isIpv4(overlay), 'overlay address', overlay);
  for (const tunnel of wanted.interfaces) {
    check(isTunnelName(tunnel.tunnel), 'tunnel', tunnel.tunnel);
    check(isIpv4(tunnel.localOverlay) && isIpv4(tunnel.remoteOverlay) && tunnel.localOverlay !== tunnel.remoteOverlay, `overlay addresses of ${tunnel.tunnel}`, [tunnel.localOverlay, tunnel.remoteOverlay]);
    check(isInterfaceName(tunnel.uplink), `uplink interface of ${tunnel.tunnel}`, tunnel.uplink);
  }
  for (const lane of wanted.lanes) {
    check(isMark(lane.mark), 'mark', lane.mark);
    for (const tunnel of [lane.active, lane.copy ?? null]) check(tunnel === null || isTunnelName(tunnel), `tunnel of lane ${lane.mark}`, tunnel);
    checkPrefixes(lane.prefixes, `prefix of lane ${lane.mark}`);
  }
  for (const steering of wanted.steering) {
    check(isName(steering.to), 'site', steering.to);
    check(isName(steering.classId), 'class', steering.classId);
    for (const lane of steering.lanes) check(isMark(lane.mark) && isWhole(lane.weight, 1000), `lane to ${steering.to}`, lane);
  }

  if (faults.length > 0) {
    throw new ForemeshError('AGENT_PLAN_INVALID', {
      what: `${faults.length} value${faults.length === 1 ? '' : 's'} that the kernel must not be given: ${faults.slice(0, 20).join('; ')}`,
      fix: 'look at plan/nodes of the commit on mesh/live; nothing was changed on this node',
    });
  }
}

function isIpv4(text: string): boolean {
  return isAddress(text) && !text.includes(':');
}

/** `10.1.0.1` or `10.1.0.1/24`. */
function isAddressWithLength(text: string): boolean {
  const [address = '', length] = text.split('/');
  return isIpv4(address) && (length === undefined || (/^\d{1,2}$/.test(length) && Number(length) <= 32)) && text.split('/').length <= 2;
}

/** `fd00:1::1/64`. */
function isAddress6WithLength(text: string): boolean {
  const [address = '', length = ''] = text.split('/');
  return address.includes(':') && isNormalAddress(address) && /^\d{1,3}$/.test(length) && Number(length) <= 128 && text.split('/').length === 2;
}

function isWhole(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max;
}

function isMark(mark: number): boolean {
  return isWhole(mark, 0xffffffff) && !RESERVED_MARKS.has(mark);
}
