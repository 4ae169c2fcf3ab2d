import { canonicalJson, sortedBy } from '../base/index.ts';
import { connectionFor, findSite, nodesOf, sitesOfPair, uplinksOfPath, type Changeset, type ChangeKey, type Intent, type SiteId, type Veto } from '../model/index.ts';

/** One veto for each change that a person took back. @param until epoch ms, excluded; @param commit the commit taken back */
export function vetoesOf(takenBack: Changeset, commit: string, until: number): Veto[] {
  return takenBack.changes.map(({ fingerprint, key, summary }) => ({ fingerprint, what: summary, change: key, until, commit }));
}

/** Both lists, one veto per fingerprint (the later end wins), sorted. */
export function mergeVetoes(older: readonly Veto[], newer: readonly Veto[]): Veto[] {
  const byFingerprint = new Map(older.map((veto) => [veto.fingerprint, veto]));
  for (const veto of newer) {
    const known = byFingerprint.get(veto.fingerprint);
    if (!known || known.until <= veto.until) byFingerprint.set(veto.fingerprint, veto);
  }
  return sortedBy([...byFingerprint.values()], (veto) => veto.fingerprint);
}

/** The vetoes that still hold: not expired at `now`, and what the intent says of their sites has not changed since. */
export function standingVetoes(vetoes: readonly Veto[], now: number, applied: Intent | null, intent: Intent): Veto[] {
  return vetoes.filter((veto) => veto.until > now && (applied === null || intentFor(applied, veto.change) === intentFor(intent, veto.change)));
}

/** All that the intent says about the sites of one change, as one text: different text, different question. */
function intentFor(intent: Intent, change: ChangeKey): string {
  const sites = sitesOfChange(intent, change);
  const [one, other] = sites;
  const connection = one && other ? connectionFor(intent, one, other) : null;
  const profile = intent.securityProfiles.find(({ name }) => name === connection?.securityProfile) ?? null;
  const trafficClass = change.kind === 'reroute' ? (intent.classes.find(({ id }) => id === change.classId) ?? null) : null;
  return canonicalJson({ sites: sites.map((id) => findSite(intent, id) ?? null), connection, profile, trafficClass });
}

function sitesOfChange(intent: Intent, change: ChangeKey): SiteId[] {
  if (change.kind === 'serving-node') return [change.site];
  if (change.kind === 'reroute' || change.kind === 'admission') return sitesOfPair(change.pair);
  const nodes = nodesOf(intent);
  return uplinksOfPath(change.path).flatMap((uplink) => nodes.filter((node) => node.uplinks.some(({ id }) => id === uplink)).map((node) => node.site));
}
