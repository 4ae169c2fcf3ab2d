import { nodesOf } from '../../../model/index.ts';
import { check, note, type Demo } from '../demo.ts';
import { columns } from '../screen.ts';

/** 1: the repository that everything else comes from. */
export async function showMeshRepository(demo: Demo): Promise<void> {
  const { intent, screen, repository } = demo;
  screen.command('git log --format="%h %an  %s" main; git ls-tree -r --name-only main | cut -d/ -f1-2 | sort | uniq -c');
  screen.evidence(await repository.git('log', '--format=%h %an  %s', 'main'));
  const files = (await repository.git('ls-tree', '-r', '--name-only', 'main')).split('\n');
  const folders = new Map<string, number>();
  for (const file of files) {
    const folder = file.split('/').slice(0, -1).join('/');
    folders.set(folder, (folders.get(folder) ?? 0) + 1);
  }
  screen.evidence([...folders].map(([folder, count]) => `${String(count).padStart(3)} file${count === 1 ? ' ' : 's'}  ${folder}/`).join('\n'));
  screen.evidence(
    columns(
      ['site', 'provider', 'prefix', 'gateways and uplinks'],
      intent.sites.map((site) => [
        site.id,
        site.provider === 'onprem' ? 'on-prem' : `${site.provider} ${site.region}`,
        site.prefixes.join(' '),
        site.nodes.map((node) => `${node.id} (${node.role}): ${node.uplinks.map((uplink) => `${uplink.name} ${uplink.upMbps}`).join(', ')} Mbit/s`).join('; '),
      ]),
    ),
  );
  const never = intent.connections.filter(({ mode }) => mode === 'never');
  const direct = intent.connections.filter(({ relays, mode }) => relays === 'deny' && mode !== 'never');
  screen.say(`classes by priority: ${[...intent.classes].sort((left, right) => left.priority - right.priority).map(({ id }) => id).join(', ')}; security profiles: ${intent.securityProfiles.map(({ name }) => name).join(', ')}`);
  screen.say(`forbidden: ${never.map(({ between }) => between.join(' – ')).join(', ')}; never through a relay: ${direct.map(({ between }) => between.join(' – ')).join(', ')}`);
  const nodes = nodesOf(intent);
  note(demo, 'sites', intent.sites.length);
  note(demo, 'gateways', nodes.length);
  check(demo, intent.sites.length === 5 && nodes.length === 6 && nodes.some(({ role }) => role === 'standby'), `${intent.sites.length} sites, ${nodes.length} gateways (one of them standby), read from Git without a finding`);
}
