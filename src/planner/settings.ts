/**
 * Every threshold of the planner, with its unit in the name. Costs are in "milliseconds worth": one unit is what one
 * millisecond of round trip is worth to a class that bears 100 ms.
 */
export const PLANNER_SETTINGS = {
  /** Demand below this is none: keep-alives and scans do not open tunnels. */
  demandFloorMbps: 0.05,
  /** What was measured longer ago than this is unknown again; so a path seen down is tried again after it. */
  qualityFreshMs: 300_000,
  /** A node not connected and not seen for longer than this is dead; its site is served by the other one. */
  nodeDeadMs: 15_000,
  /** Weights of a split are multiples of this, per cent: flows are spread by hash, finer steps would promise too much. */
  weightStep: 10,
  /** Ways one (pair, class) is split over at most. */
  waysMax: 4,
  /** A split is folded only when the remaining ways would then be filled to at most this share of their limit. */
  foldRatio: 0.6,
  /** A demand that has no way yet gets one only when at least this share of it can be carried. */
  carriedMin: 0.1,
  /** When nothing carries everything, another split must carry this much more of the demand to be worth a move. */
  carriedGainMin: 0.1,
  /** A split stays as it is while it carries this share within the limits: the limit itself leaves room for the rest. */
  splitCarriedMin: 0.9,
  /** A re-route for mere gain needs this much less cost … */
  gainMin: 10,
  /** … and this share of the present cost. */
  gainRatioMin: 0.25,
  /** Round trip per kilometre of great circle: light in fibre there and back (0.01 ms), times 1.5 for the way it goes. */
  latencyMsPerKm: 0.015,
  /** Added per end to an estimated round trip. */
  accessMs: { onprem: 4, cloud: 1 },
  /** Added to a round trip by a relay gateway. */
  relayMs: 1,
  /** Cost of using a relay at all: it doubles the traffic on somebody else's uplinks. */
  relayCost: 20,
  /** Cost of one more tunnel on an empty gateway; rises with the square of how full its tunnel table is … */
  tunnelCost: 4,
  /** … up to this much more. */
  tunnelScarcityCost: 16,
  /** Cost of one USD per GB. */
  usdPerGbCost: 100,
  /** Cost of an uplink at its limit; falls with the square to nothing at `headroomFreeRatio`, below which nobody minds. */
  headroomCost: 30,
  headroomFreeRatio: 0.5,
  /** Cost of a path whose probes say `degraded`. */
  degradedCost: 20,
  /** Cost of a latency within the last tenth of what the class bears: who left it does not come back at once. */
  slaEdgeCost: 20,
  /** Share of the class's latency bound from which `slaEdgeCost` counts. */
  slaEdgeRatio: 0.9,
  /**
   * Cost of a path that is expected to break the class's SLA within the forecast's horizon: twice that of trouble that shows
   * already, since then the class may not use it at all. From this probability on for who is on the path …
   */
  violationCost: 40,
  violationLeaveRatio: 0.6,
  /** … and from this one for who is not: what was left is gone back to only when it looks clearly better, and what looks half bad is not chosen. */
  violationReturnRatio: 0.3,
  /** Forecasts of paths count only when they were better than the best baseline by this share, on held-out time. */
  violationSkillMin: 0.05,
  /** A listed backup stays listed up to this share of the class's bound: order of backups must not follow noise. */
  slaBackupRatio: 1.1,
  /** Ways to fall back to that are listed per (pair, class). */
  backupsMax: 4,
  /** Relays looked at per demand, nearest first. */
  relaysMax: 4,
  /** From this proven gap on, per cent, the report says what stands between the plan and the best possible … */
  gapToldPct: 1,
  /** … with so many reasons and limits at most, and no limit that is cheaper than this share of the least important class's worth. */
  reasonsTold: 5,
  priceTold: 0.05,
  /** Rounds of the core for a proof: `work` demands are looked at in all, within these bounds. 1,000 looks take some milliseconds. */
  sweeps: { most: 100, least: 8, work: 40_000 },
  /** From this proven gap on, per cent, a plan that is guided by the core is tried beside it … */
  guidedGapMinPct: 0.25,
  /** … and taken when it carries this much more of the bound, per cent: less is not worth the moves. */
  guidedGainMinPct: 0.25,
  /** … and this much more for changing all tunnels and all routes of the plan that runs; for a part in proportion. */
  guidedChangePct: 1,
  /** With more wants than this no guide is made: it takes seconds, and the engine answers nobody meanwhile. */
  guidedWantsMax: 600,
  /** What the core is told that every hop costs beside its money: without it, it relays for the last hundredth, and a plan of whole weights cannot follow. */
  guidedUsdPerGb: 0.2,
  /** Rounds of the core for a guide, at most. */
  guidedSweepsMax: 48,
  /** Weights of a guided split are multiples of this, per cent. */
  guidedWeightStep: 5,
  /** Of a guided choice, the share whose ways must be possible; else the want goes the usual way. */
  guidedShareMin: 0.5,
  /** Times that what was chosen is looked at again from itself: two or three as a rule. */
  guidedRoundsMax: 6,
  /** Rounds until a plan must reproduce itself. */
  roundsMax: 6,
} as const;
