import { ForemeshError } from '../../src/base/index.ts';
import type { NodeConfig } from '../../src/model/index.ts';
import { contradictions } from './contradictions.ts';
import { floorBreaches } from './floor.ts';

/** A config whose signature and hashes were checked. */
export interface Candidate {
  generation: number;
  commit: string;
  /** When it was signed, epoch ms. */
  signedAt: number;
  config: NodeConfig;
}

/** The newest that a node ever accepted, and what it runs: the same, unless its stored copy could not be verified again. */
export interface Standing {
  generation: number;
  commit: string | null;
  running: Candidate | null;
}

export const NO_STANDING: Standing = { generation: 0, commit: null, running: null };

/**
 * Whether a verified config may replace what runs: `run`, `same` (it is what runs) or the refusal.
 * Decides in this order: meant for this node; not an older generation; not another commit of the same generation;
 * free of contradictions; the floor that no signature lifts.
 * @param engine  its host, see floor.ts
 */
export function admit(node: string, standing: Standing, candidate: Candidate, engine: string | null = null): 'run' | 'same' | ForemeshError {
  if (candidate.config.node !== node) {
    return new ForemeshError('AGENT_PLAN_INVALID', { what: `this is node ${node}, the config is for ${candidate.config.node}`, fix: 'see which certificate this agent uses' });
  }
  if (candidate.generation < standing.generation) {
    return new ForemeshError('AGENT_PLAN_STALE', {
      what: `generation ${candidate.generation} is older than ${standing.generation}, which this node has run`,
      fix: 'commit on top of mesh/live; to go back, revert there, which makes a new generation',
    });
  }
  if (candidate.generation === standing.generation && standing.commit !== null) {
    if (candidate.commit === standing.commit) return standing.running?.commit === candidate.commit ? 'same' : 'run';
    return new ForemeshError('AGENT_PLAN_STALE', {
      what: `generation ${candidate.generation} is commit ${standing.commit.slice(0, 12)} here, and the engine offers ${candidate.commit.slice(0, 12)} under the same number`,
      fix: 'somebody rewrote mesh/live: restore it, or make a new commit, which gets the next generation',
    });
  }
  const faults = contradictions(candidate.config);
  if (faults.length > 0) {
    return new ForemeshError('AGENT_PLAN_INVALID', { what: `generation ${candidate.generation} contradicts itself: ${faults.slice(0, 10).join('; ')}`, fix: 'mend the intent: no two sites share addresses' });
  }
  const breaches = floorBreaches(candidate.config, standing.running?.config ?? null, engine);
  if (breaches.length === 0) return 'run';
  return new ForemeshError('AGENT_FLOOR_REFUSED', {
    what: `generation ${candidate.generation} goes below this node's floor: ${breaches.join('; ')}`,
    fix: 'mend the plan; if it is meant, a person removes config-a.json and config-b.json at the node and restarts the agent',
  });
}
