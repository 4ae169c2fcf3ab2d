import { familyOf, ForemeshError, hostPrefixOf, runCommand, runCommandText } from '../../base/index.ts';
import { inGroups } from '../in-groups.ts';
import {
  type GatewayLayout,
  type HostLayout,
  type LabLayout,
  MANAGEMENT_PREFIX,
  namespacesIn,
  type NatLayout,
  PROVIDER_ROUTER,
  PROVIDER_ROUTER_6,
  PROVIDER_ROUTER_MAC,
  UNDERLAY_ADDRESS,
  type UplinkLayout,
  WAN_ADDRESS,
} from './layout.ts';

/** How many `ip` processes run at once; more only queue on the kernel's rtnl lock. */
const CONCURRENCY = 4;

/**
 * Makes the lab's namespaces and links. Sysctls come before links, since a device copies its defaults when it is born.
 * @throws ForemeshError LAB_FAILED with the line that `ip` refused; what exists by then is for `cleanUp`
 */
export async function buildNetwork(layout: LabLayout): Promise<void> {
  await batch(null, namespacesIn(layout).map((name) => `netns add ${name}`));
  await inGroups(namespacesIn(layout), CONCURRENCY, (namespace) => setSysctls(namespace, layout.hasIpv6));
  await batch(null, linksBetweenNamespaces(layout));
  await batch(layout.underlayNamespace, underlayLines(layout));
  const rest: (() => Promise<void>)[] = [
    () => finishChecksums(layout.underlayNamespace),
    () => batch(layout.wanNamespace, ['link set lo up', `addr add ${WAN_ADDRESS}/30 dev w0`, 'link set w0 up']),
    () => batch(layout.managementNamespace, managementLines(layout)),
    ...layout.gateways.map((gateway) => async () => {
      await batch(gateway.namespace, gatewayLines(gateway, layout.hasIpv6));
      await batch(gateway.namespace, uplinkRuleLines(gateway, 'ipv6'), ['-6']);
    }),
    ...layout.gateways.flatMap(({ uplinks }) => uplinks.flatMap((uplink) => (uplink.nat ? [() => buildRouter(uplink, uplink.nat!)] : []))),
    ...layout.hosts.map((host) => () => batch(host.namespace, hostLines(layout, host))),
  ];
  await inGroups(rest, CONCURRENCY, (step) => step());
}

/** The veth pairs, made from outside with both ends born where they belong: no name ever stands in the root namespace. */
function linksBetweenNamespaces(layout: LabLayout): string[] {
  const host = new Map(layout.hosts.map((one) => [one.site, one.namespace]));
  return [
    `link add u0 mtu 9000 netns ${layout.underlayNamespace} type veth peer name w0 mtu 9000 netns ${layout.wanNamespace}`,
    ...layout.gateways.flatMap((gateway, index) => {
      const management = `link add mgmt0 netns ${gateway.namespace} type veth peer name gw${index} netns ${layout.managementNamespace}`;
      const lan = host.get(gateway.site);
      const routers = gateway.uplinks.flatMap(({ interface: name, mac, nat }) => (nat ? [`link add ${name} address ${natMac(mac)} mtu 1500 netns ${gateway.namespace} type veth peer name ${GATEWAY_SIDE} address ${PROVIDER_ROUTER_MAC} mtu 1500 netns ${nat.namespace}`] : []));
      return lan ? [...routers, management, `link add ${gateway.lanInterface} netns ${gateway.namespace} type veth peer name gw${index} netns ${lan}`] : [...routers, management];
    }),
  ];
}

/** A VXLAN device is born in the gateway while its socket stays here: gateways see an uplink and nothing of the underlay. */
function underlayLines(layout: LabLayout): string[] {
  return [
    'link set lo up',
    `addr add ${UNDERLAY_ADDRESS}/30 dev u0`,
    'link set u0 up',
    ...layout.gateways.flatMap((gateway) =>
      gateway.uplinks.map(
        (uplink) =>
          `link add ${uplink.nat ? WAN_SIDE : uplink.interface} address ${uplink.mac} mtu 1500 netns ${uplink.nat?.namespace ?? gateway.namespace} type vxlan id ${uplink.vni} local ${UNDERLAY_ADDRESS} remote ${WAN_ADDRESS} dev u0 dstport ${uplink.port} nolearning noudpcsum`,
      ),
    ),
  ];
}

function gatewayLines(gateway: GatewayLayout, hasIpv6: boolean): string[] {
  return [
    'link set lo up',
    `addr add ${gateway.managementAddress}/24 dev mgmt0`,
    'link set mgmt0 up',
    `link set ${gateway.lanInterface} up`,
    ...gateway.uplinks.flatMap((uplink) => [
      ...(hasIpv6 ? [`link set ${uplink.interface} addrgenmode none`] : []),
      `addr add ${hostPrefixOf(uplink.address)} dev ${uplink.interface}`,
      `link set ${uplink.interface} up`,
      ...uplinkRouteLines(uplink),
    ]),
    ...uplinkRuleLines(gateway, 'ipv4'),
  ];
}

function uplinkRuleLines(gateway: GatewayLayout, family: 'ipv4' | 'ipv6'): string[] {
  return gateway.uplinks.filter(({ address }) => familyOf(address) === family).map(({ address, table }) => `rule add from ${address} lookup ${table} prio ${table}`);
}

const WAN_SIDE = 'wan0';
const GATEWAY_SIDE = 'lan0';

/** The uplink's own MAC is its router's towards the WAN. */
function natMac(mac: string): string {
  return mac.replace(/^02:fe/, '02:fd');
}

/** A router as offices and mobile networks have: packets from behind it get its address and a port of its choice. */
async function buildRouter(uplink: UplinkLayout, nat: NatLayout): Promise<void> {
  await batch(nat.namespace, [
    'link set lo up',
    `addr add ${nat.publicAddress}/32 dev ${WAN_SIDE}`,
    `link set ${WAN_SIDE} up`,
    `link set ${GATEWAY_SIDE} up`,
    `route add ${uplink.address}/32 dev ${GATEWAY_SIDE}`,
    `neigh replace ${uplink.address} lladdr ${natMac(uplink.mac)} dev ${GATEWAY_SIDE} nud permanent`,
    `neigh replace ${PROVIDER_ROUTER} lladdr ${PROVIDER_ROUTER_MAC} dev ${WAN_SIDE} nud permanent`,
    `route add default via ${PROVIDER_ROUTER} dev ${WAN_SIDE} onlink`,
  ]);
  const forwarding = nat.isForwarded ? `chain in {\n type nat hook prerouting priority dstnat\n iifname "${WAN_SIDE}" udp dport { 500, 4500 } dnat to ${uplink.address}\n}\n` : '';
  const rules = `table ip nat {\nchain out {\n type nat hook postrouting priority srcnat\n oifname "${WAN_SIDE}" masquerade random\n}\n${forwarding}}\n`;
  await runCommandText('ip', ['netns', 'exec', nat.namespace, 'nft', '-f', '-'], { stdin: rules });
}

/** What goes when an uplink's link goes down, and has to be there again when it comes up. */
export function uplinkRouteLines(uplink: UplinkLayout): string[] {
  const [router, all] = familyOf(uplink.address) === 'ipv4' ? [PROVIDER_ROUTER, 'default'] : [PROVIDER_ROUTER_6, '::/0'];
  return [
    `neigh replace ${router} lladdr ${PROVIDER_ROUTER_MAC} dev ${uplink.interface} nud permanent`,
    `route replace ${all} via ${router} dev ${uplink.interface} onlink table ${uplink.table}`,
    `route replace ${all} via ${router} dev ${uplink.interface} onlink metric ${uplink.table}`,
  ];
}

/** The LAN is a bridge in the host's own namespace, so one or two gateways look the same to the host. */
function hostLines(layout: LabLayout, host: HostLayout): string[] {
  const ports = layout.gateways.flatMap((gateway, index) => (gateway.site === host.site ? [`gw${index}`] : []));
  return [
    'link set lo up',
    'link add lan0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0',
    ...ports.map((port) => `link set ${port} master lan0 up`),
    `addr add ${host.address}/${host.prefixLength} dev lan0`,
    'link set lan0 up',
    `route add default ${hopsOf(host.gatewayAddresses)}`,
    ...(host.ipv6 ? [`addr add ${host.ipv6.address}/${host.ipv6.prefixLength} dev lan0 nodad`, `route add ::/0 ${hopsOf(host.ipv6.gatewayAddresses)}`] : []),
  ];
}

function hopsOf(gatewayAddresses: readonly string[]): string {
  const hops = gatewayAddresses.map((address) => `via ${address} dev lan0 onlink`);
  return hops.length === 1 ? hops[0]! : hops.map((hop) => `nexthop ${hop}`).join(' ');
}

function managementLines(layout: LabLayout): string[] {
  const length = MANAGEMENT_PREFIX.split('/')[1]!;
  return [
    'link set lo up',
    'link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0',
    ...layout.gateways.map((_, index) => `link set gw${index} master br0 up`),
    `addr add ${layout.engineAddress}/${length} dev br0`,
    'link set br0 up',
  ];
}

const IPV6_OFF = ['net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1'];
/** Addresses stay when a cable is pulled, as those of IPv4 do; nobody asks for routers or looks for doubles. */
const IPV6_ON = ['all', 'default'].flatMap((name) => ['disable_ipv6=0', 'keep_addr_on_down=1', 'accept_ra=0', 'autoconf=0', 'accept_dad=0', 'dad_transmits=0', 'router_solicitations=0'].map((setting) => `net.ipv6.conf.${name}.${setting}`));

/** Hosts forget a dead gateway's MAC within seconds. */
async function setSysctls(namespace: string, hasIpv6: boolean): Promise<void> {
  const settings = [
    ...(hasIpv6 ? [...IPV6_ON, 'net.ipv6.neigh.default.base_reachable_time_ms=2000', 'net.ipv6.neigh.default.delay_first_probe_time=1', 'net.ipv6.neigh.default.ucast_solicit=1'] : IPV6_OFF),
    'net.ipv4.ip_forward=1',
    'net.ipv4.conf.all.rp_filter=0',
    'net.ipv4.conf.default.rp_filter=0',
    'net.ipv4.fib_multipath_hash_policy=1', // a host with two gateways divides flows, not destinations
    'net.ipv4.neigh.default.base_reachable_time_ms=2000',
    'net.ipv4.neigh.default.delay_first_probe_time=1',
    'net.ipv4.neigh.default.ucast_solicit=1',
  ];
  await runCommandText('ip', ['netns', 'exec', namespace, 'sysctl', '-eqw', ...settings]);
}

/** Without this the inner TCP checksums stay unfinished on their way to the relay: ping works, TCP never connects. */
async function finishChecksums(namespace: string): Promise<void> {
  await runCommandText('ip', ['netns', 'exec', namespace, 'ethtool', '-K', 'u0', 'tx', 'off']);
}

async function batch(namespace: string | null, lines: readonly string[], options: readonly string[] = []): Promise<void> {
  if (lines.length === 0) return;
  const args = [...options, ...(namespace === null ? [] : ['-n', namespace]), '-batch', '-'];
  const result = await runCommand('ip', args, { stdin: `${lines.join('\n')}\n` });
  if (result.exitCode === 0) return;
  const line = /Command failed -:(\d+)/.exec(result.stderr)?.[1];
  const refused = line === undefined ? '' : ` at "${lines[Number(line) - 1] ?? ''}"`;
  throw new ForemeshError('LAB_FAILED', { what: `ip in ${namespace ?? 'the root namespace'}: ${result.stderr.trim().slice(0, 300)}${refused}`, fix: 'see that the kernel has veth, vxlan and bridge, and that you are root' });
}
