import { stringify } from 'yaml';
import { classId, nodeId, pathId, siteId, tunnelId, uplinkId, type CryptoSuite, type NodeConfig } from '../../../src/model/index.ts';

const suite: CryptoSuite = { encryption: 'aes256gcm16', integrity: 'none', prf: 'prfsha384', group: 'ecp384' };
const path = pathId(uplinkId(nodeId('berlin-gw1'), 'fibre'), uplinkId(nodeId('paris-gw1'), 'dsl'));
const tunnel = tunnelId(path, 'x');

/** A small config that uses every field. */
export const EXAMPLE_CONFIG: NodeConfig = {
  schema: 'foremesh/node-config/v1',
  node: nodeId('berlin-gw1'),
  site: siteId('berlin'),
  serving: true,
  lan: { interface: 'lan', address: '10.1.0.1/24', prefixes: ['10.1.0.0/24'] },
  uplinks: [{ name: 'fibre', interface: 'wan0', address: '100.64.1.1' }],
  protectedPrefixes: ['10.0.0.0/8'],
  probe: { intervalMs: 50, downAfter: 4, holdDownMs: 60_000, holdDownMaxMs: 600_000 },
  sampleIntervalMs: 10_000,
  classes: [
    { id: classId('voice'), priority: 10, match: [{ protocol: 'udp', ports: [{ from: 5000, to: 5099 }], dscp: [46] }] },
    { id: classId('bulk'), priority: 90, match: [] },
  ],
  sites: [
    { id: siteId('berlin'), prefixes: ['10.1.0.0/24'] },
    { id: siteId('paris'), prefixes: ['10.2.0.0/24'] },
  ],
  tunnels: [
    {
      id: tunnel,
      path,
      peer: nodeId('paris-gw1'),
      initiator: true,
      local: { interface: 'wan0', address: '100.64.1.1', overlay: '10.255.0.0' },
      remote: { address: '100.64.2.1', overlay: '10.255.0.1' },
      ike: [suite],
      esp: [suite],
      ikeRekeyMs: 14_400_000,
      espRekeyMs: 3_600_000,
    },
  ],
  steering: [{ to: siteId('paris'), prefixes: ['10.2.0.0/24'], classId: classId('voice'), lanes: [{ mark: 4097, weight: 100, tunnels: [tunnel] }] }],
  allow: [{ from: ['10.1.0.0/24'], to: ['10.2.0.0/24'] }],
};

export const EXAMPLE_YAML = stringify(EXAMPLE_CONFIG, { aliasDuplicateObjects: false });
