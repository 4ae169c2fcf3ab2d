import { describe, expect, it } from 'vitest';
import { formatFinding, readSourceFolder } from '../../src/base/index.ts';
import { loadIntent, readConfigFolder } from '../../src/intent/index.ts';
import { connectionFor, isAdmitted, siteId } from '../../src/model/index.ts';

const files = await readConfigFolder('.');

function exampleIntent() {
  const result = loadIntent(files, null);
  if (!result.ok) throw new Error(result.findings.map(formatFinding).join('\n'));
  return result;
}

describe('the example mesh', () => {
  it('loads without a finding and without a warning', () => {
    expect(exampleIntent().warnings).toEqual([]);
  });

  it('has the sites, nodes and uplinks that the demo tells of', () => {
    const { intent } = exampleIntent().value;
    expect(intent.sites.map((site) => site.id)).toEqual(['aws-fra', 'azure-weu', 'berlin', 'hamburg', 'paris']);
    expect(intent.sites.flatMap((site) => site.nodes).map((node) => `${node.id} ${node.role} ${node.uplinks.map(({ name, address }) => `${name}=${address}`).join(' ')}`)).toEqual([
      'aws-fra-gw1 active eip-a=100.64.1.4 eip-b=100.64.2.4',
      'azure-weu-gw1 active pip=100.64.1.5',
      'berlin-gw1 active cable=100.64.2.1 fibre=100.64.1.1',
      'berlin-gw2 standby cable=100.64.2.6 fibre=100.64.1.6',
      'hamburg-gw1 active dsl=100.64.1.3 lte=100.64.2.3',
      'paris-gw1 active cable=100.64.2.2 fibre=100.64.1.2',
    ]);
  });

  it('loads units as numbers whose names carry the unit', () => {
    const { intent } = exampleIntent().value;
    expect(intent.mesh).toEqual({
      name: 'example',
      cycleMs: 60_000,
      overlayPrefix: '172.30.0.0/16',
      protectedPrefixes: ['10.0.0.0/8', '172.30.0.0/16'],
      utilisationMax: 0.8,
      idleTimeoutMs: 1_800_000,
      holdMs: 600_000,
      forecast: { slotMs: 900_000, slotsPerDay: 96, horizonSlots: 4, provision: 'p95' },
      probe: { intervalMs: 50, downAfter: 4, holdDownMs: 60_000, holdDownMaxMs: 600_000 },
      telemetry: { sampleIntervalMs: 10_000, connections: false },
      shaping: false,
      autoApply: { tunnelsMax: 4, sitesMax: 3, trafficShareMax: 0.5, changesPerHourMax: 20 },
      vetoMs: 86_400_000,
    });
    expect(intent.classes.map((one) => [one.id, one.priority, one.sla, one.protection])).toEqual([
      ['voice', 0, { latencyMaxMs: 150, lossMaxRatio: 0.01, jitterMaxMs: 30 }, 'backup'],
      ['business', 1, { latencyMaxMs: 250, lossMaxRatio: 0.02, jitterMaxMs: 1000 }, 'backup'],
      ['bulk', 2, { latencyMaxMs: 1000, lossMaxRatio: 0.05, jitterMaxMs: 1000 }, 'none'],
    ]);
    expect(intent.classes[2]!.match).toEqual([{ protocol: 'any', ports: [], dscp: [] }]);
  });

  it('lets the last connection that names both sites decide', () => {
    const { intent } = exampleIntent().value;
    const rule = (one: string, other: string) => connectionFor(intent, siteId(one), siteId(other))?.name;
    expect([rule('paris', 'berlin'), rule('hamburg', 'paris'), rule('paris', 'azure-weu')]).toEqual(['headquarters', 'shop-to-paris-direct', 'everyone']);
    expect(isAdmitted(intent, siteId('azure-weu'), siteId('hamburg'))).toBe(false);
  });

  it('finds the place of documents, parts and fields, in the words of the YAML or of the model', () => {
    const { locate } = exampleIntent().value;
    const textAt = (kind: string, name: string, field?: string) => {
      const where = locate({ kind, name, field });
      const line = where && files.find(({ file }) => file === where.file)!.text.split('\n')[where.line - 1]!;
      return where && `${where.file.slice('mesh-config/'.length)}: ${line!.slice(where.column - 1)}`;
    };
    expect(textAt('SecurityProfile', 'strong')).toBe('security.yaml: strong');
    expect(textAt('SecurityProfile', 'strong', 'esp[0].encryption')).toBe('security.yaml: aes256gcm16, group: ecp384 }');
    expect(textAt('SecurityProfile', 'strong', 'espRekeyMs')).toBe('security.yaml: 30m');
    expect(textAt('SecurityProfile', 'strong', 'pfs')).toBe('security.yaml: strong');
    expect(textAt('Uplink', 'hamburg-gw1/lte', 'usdPerGb')).toMatch(/^sites\/hamburg.yaml: 2.5/);
    expect(textAt('Node', 'hamburg-gw1', 'tunnelsMax')).toBe('sites/hamburg.yaml: 3');
    expect(textAt('Pair', 'azure-weu>hamburg', 'mode')).toBe('connections.yaml: never');
    expect(textAt('Path', 'berlin-gw1/cable~paris-gw1/fibre')).toBe('sites/berlin.yaml: cable');
    expect(textAt('Mesh', 'example', 'autoApply.trafficShareMax')).toBe('mesh.yaml: 50%');
    expect(textAt('Tunnel', 't-00000000')).toBeNull();
  });

  it('is read without the files that are no YAML', async () => {
    expect(files.every(({ file }) => file.endsWith('.yaml'))).toBe(true);
    expect((await readSourceFolder('.', 'mesh-config', ['.nothing'])).length).toBe(0);
  });
});
