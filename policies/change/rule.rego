# METADATA
# title: How large a change may be without a person
# description: >-
#   Judges the difference between the running plan and the next one. This is the place, and the only one, where it is
#   decided what is applied at once and what becomes a proposal. A veto denies, whatever else holds. Then: a person
#   who approved all of it, or who caused it by hand, has decided. Then the sizes, of what no person has approved.
package foremesh.change

import data.foremesh.lib.input as shape
import data.foremesh.lib.unusual

default verdict := {"decision": "deny", "reasons": [], "rulesRun": ["CHANGE_INPUT"]}

# METADATA
# entrypoint: true
verdict := shape.refusal(problems, ["CHANGE_INPUT"]) if {
	count(problems) > 0
} else := {
	"decision": decision,
	"reasons": [reason | some reason in findings],
	"rulesRun": rules_run,
}

decision := "deny" if {
	some finding in findings
	finding.severity == "error"
} else := "allow" if {
	is_decided_by_person
} else := "needsApproval" if {
	some finding in findings
	finding.code in asks
} else := "allow"

# What this verdict has looked at, so that silence is not mistaken for consent. A rule of your own adds its code here,
# and to `asks` when it wants a person to approve.
rules_run contains code if some code in asks

rules_run contains code if some code in {"CHANGE_FORECAST_DRIFTS", "CHANGE_FORECAST_UNSURE", "CHANGE_INPUT", "CHANGE_VETOED"}

asks contains code if {
	some code in {
		"CHANGE_ADMISSION",
		"CHANGE_COST",
		"CHANGE_HOURLY_BUDGET",
		"CHANGE_INTERRUPTS",
		"CHANGE_REGRET",
		"CHANGE_SITES",
		"CHANGE_TRAFFIC_SHARE",
		"CHANGE_TUNNELS",
		"CHANGE_UNUSUAL",
	}
}

# Sizes that the mesh does not set in autoApply.
usd_per_month_max := 1000

interrupted_pairs_max := 2

wape_doubtful := 0.6

# What earlier forecast-driven changes must have come to, for further ones to go on without a person: judged on so many
# changes out of so many commits at least (those of one commit stand and fall together), at most this share of them did
# harm and at least this share was needed. A mesh without a past has none judged, and is asked nothing by this.
regret_scored_min := 5

regret_commits_min := 3

regret_harmful_share_max := 0.2

regret_needed_share_min := 0.4

# A failure may move twice as many tunnels, since waiting for a person costs traffic.
failure_factor := 2

# The first plan has nothing to be compared with; a revert, an override and its end are a person's own act.
is_decided_by_person if input.cause in {"revert", "override", "expiry"}

is_decided_by_person if {
	count(input.changeset.changes) > 0
	count(input.unapproved.changes) == 0
}

is_first if input.cause == "initial"

is_repair if input.cause == "failure"

# METADATA
# title: A veto holds
# description: What a person has reverted does not come back until the veto ends, is lifted, or the intent for it changes; no other approval overrules it.
# custom:
#   code: CHANGE_VETOED
#   severity: error
findings contains finding(rego.metadata.rule(), object_of(change), message, "lift the veto (foremesh veto lift), or wait until it ends") if {
	some change in input.changeset.changes
	change.fingerprint in input.vetoes
	message := sprintf("%s was reverted by a person", [change.summary])
}

# METADATA
# title: Few tunnels at a time
# description: Tunnels added, removed and moved together stay within autoApply.tunnelsMax; twice that after a failure.
# custom:
#   code: CHANGE_TUNNELS
#   severity: warning
findings contains finding(rego.metadata.rule(), auto_apply("tunnelsMax"), message, "approve the proposal, or raise autoApply.tunnelsMax") if {
	not is_first
	tunnels_changed > tunnels_max
	message := sprintf("%d tunnels change, %d may without a person", [tunnels_changed, tunnels_max])
}

tunnels_changed := (input.unapproved.tunnelsAdded + input.unapproved.tunnelsRemoved) + input.unapproved.tunnelsMoved

tunnels_max := input.autoApply.tunnelsMax * failure_factor if {
	is_repair
} else := input.autoApply.tunnelsMax

# METADATA
# title: Few sites at a time
# description: Sites touched stay within autoApply.sitesMax. A failure touches whom it touches.
# custom:
#   code: CHANGE_SITES
#   severity: warning
findings contains finding(rego.metadata.rule(), auto_apply("sitesMax"), message, "approve the proposal, or raise autoApply.sitesMax") if {
	not is_first
	not is_repair
	sites := count(input.unapproved.sitesTouched)
	sites > input.autoApply.sitesMax
	message := sprintf("%d sites are touched, %d may be without a person", [sites, input.autoApply.sitesMax])
}

# METADATA
# title: Little traffic at a time
# description: The share of all planned traffic that changes its route stays within autoApply.trafficShareMax. After a failure it has moved already.
# custom:
#   code: CHANGE_TRAFFIC_SHARE
#   severity: warning
findings contains finding(rego.metadata.rule(), auto_apply("trafficShareMax"), message, "approve the proposal, or raise autoApply.trafficShareMax") if {
	not is_first
	not is_repair
	input.unapproved.trafficMovedShare > input.autoApply.trafficShareMax
	message := sprintf("%d %% of all traffic is re-routed, %d %% may be without a person", [round(input.unapproved.trafficMovedShare * 100), round(input.autoApply.trafficShareMax * 100)])
}

# METADATA
# title: Few changes an hour
# description: Whatever the forecast or a failure says, more than autoApply.changesPerHourMax in an hour is a fault in itself and wants a person.
# custom:
#   code: CHANGE_HOURLY_BUDGET
#   severity: warning
findings contains finding(rego.metadata.rule(), auto_apply("changesPerHourMax"), message, "see why so much changes; approve the proposal, or raise autoApply.changesPerHourMax") if {
	not is_first
	input.changesLastHour >= input.autoApply.changesPerHourMax
	message := sprintf("%d changes were made in the last hour, %d may be without a person", [input.changesLastHour, input.autoApply.changesPerHourMax])
}

# METADATA
# title: No surprise on the bill
# description: A change that adds more than 1000 USD a month is asked for, unless it repairs something.
# custom:
#   code: CHANGE_COST
#   severity: warning
findings contains finding(rego.metadata.rule(), {"kind": "Changeset", "name": input.changeset.digest, "field": "usdPerMonthDelta"}, message, "approve the proposal, or raise usd_per_month_max in policies/change/rule.rego") if {
	not is_first
	not is_repair
	input.unapproved.usdPerMonthDelta > usd_per_month_max
	message := sprintf("the change costs %d USD more a month, %d may be without a person", [round(input.unapproved.usdPerMonthDelta), usd_per_month_max])
}

# METADATA
# title: New conversations are a person's decision
# description: A pair of sites that could not talk and then could is never applied unseen, but for the first plan.
# custom:
#   code: CHANGE_ADMISSION
#   severity: warning
findings contains finding(rego.metadata.rule(), object_of(change), message, "approve the proposal if these two should talk") if {
	not is_first
	some change in input.unapproved.changes
	change.key.kind == "admission"
	not startswith(change.summary, "-")
	message := sprintf("%s: the two sites could not talk before", [change.summary])
}

# METADATA
# title: Interruptions stay small
# description: A change that interrupts traffic of more than two pairs is asked for, unless it repairs something.
# custom:
#   code: CHANGE_INTERRUPTS
#   severity: warning
findings contains finding(rego.metadata.rule(), {"kind": "Changeset", "name": input.changeset.digest, "field": "impact"}, message, "approve the proposal at a quiet time") if {
	not is_first
	not is_repair
	pairs := {change.pair | some change in input.unapproved.changes; change.impact == "interrupt"}
	count(pairs) > interrupted_pairs_max
	message := sprintf("traffic of %d pairs is interrupted, of %d it may be without a person", [count(pairs), interrupted_pairs_max])
}

# METADATA
# title: Very unusual traffic gets no tunnel without a person
# description: >-
#   When a forecast adds a tunnel for a pair whose surge is severe, or of a site that begins to talk to many, a person
#   looks first. What repairs something is not held up, and nothing that runs is touched.
# custom:
#   code: CHANGE_UNUSUAL
#   severity: warning
findings contains finding(rego.metadata.rule(), object_of(change), message, "see foremesh anomalies; approve the proposal if the traffic is wanted") if {
	input.cause == "forecast"
	some change in input.unapproved.changes
	change.key.kind == "tunnel-add"
	some anomaly in input.anomalies
	anomaly.severity == "high"
	unusual.asks_for(anomaly, change.pair)
	message := sprintf("%s: %s", [change.summary, anomaly.words])
}

# METADATA
# title: Say when the forecast is weak
# description: A forecast that is often wrong is no reason to stop, and one for the reader to know.
# custom:
#   code: CHANGE_FORECAST_UNSURE
#   severity: info
findings contains finding(rego.metadata.rule(), {"kind": "Forecast", "name": input.forecast.model, "field": "wape"}, message, "look at the back-test (foremesh forecast show)") if {
	input.cause in {"forecast", "idle"}
	input.forecast.wape + input.forecast.drift > wape_doubtful
	message := sprintf("the forecast (%s) has lately been off by %d %% of the traffic", [input.forecast.model, round((input.forecast.wape + input.forecast.drift) * 100)])
}

# METADATA
# title: Say when forecasts come out worse than promised
# description: Where the champion has failed the engine plans with a rule of thumb, and trains anew; the reader should know.
# custom:
#   code: CHANGE_FORECAST_DRIFTS
#   severity: info
findings contains finding(rego.metadata.rule(), {"kind": "Forecast", "name": input.forecast.model, "field": "confidence"}, message, "look at how forecasts came out (foremesh forecast scoreboard)") if {
	input.cause in {"forecast", "idle"}
	input.forecast.confidence < 1
	message := sprintf("forecasts of %d %% of the traffic have come out worse than the back-test promised", [round((1 - input.forecast.confidence) * 100)])
}

# METADATA
# title: Forecasts have to earn their freedom
# description: >-
#   What forecasts asked for is judged afterwards (docs/regret.md). When too much of it did harm, or too little was
#   needed, further changes of that origin want a person: all of them when the record as a whole is poor, else those of
#   the kinds whose own record is.
# custom:
#   code: CHANGE_REGRET
#   severity: warning
findings contains finding(rego.metadata.rule(), {"kind": "Forecast", "name": input.forecast.model, "field": field}, message, "see which ones and why (foremesh forecast ledger); approve the proposal, or change regret_… in policies/change/rule.rego") if {
	input.cause in {"forecast", "idle"}
	some field, counts in poor_records
	message := sprintf("of %d %s in %d days %d were needed and %d did harm", [counts.scored, counts.what, input.forecast.regret.windowDays, counts.needed, counts.harmful])
}

poor_records["regret"] := object.union(input.forecast.regret, {"what": "forecast-driven changes"}) if is_poor(input.forecast.regret)

poor_records[sprintf("regret.byKind.%s", [kind])] := object.union(counts, {"what": sprintf("forecast-driven changes of kind %s", [kind])}) if {
	not is_poor(input.forecast.regret)
	some change in input.unapproved.changes
	kind := scored_kind(change.key)
	counts := input.forecast.regret.byKind[kind]
	is_poor(counts)
}

is_poor(counts) if {
	is_judged(counts)
	counts.harmful > regret_harmful_share_max * counts.scored
}

is_poor(counts) if {
	is_judged(counts)
	counts.needed < regret_needed_share_min * counts.scored
}

is_judged(counts) if {
	counts.scored >= regret_scored_min
	counts.commits >= regret_commits_min
}

scored_kind(key) := key.kind if key.kind in {"tunnel-add", "tunnel-remove"}

scored_kind(key) := "reroute" if {
	key.kind == "reroute"
	count(object.get(key, "paths", [])) < 2
}

scored_kind(key) := "split" if {
	key.kind == "reroute"
	count(object.get(key, "paths", [])) > 1
}

object_of(change) := {"kind": "Tunnel", "name": change.tunnel} if {
	change.tunnel != null
} else := {"kind": "Pair", "name": change.pair} if {
	change.pair != null
} else := {"kind": "Change", "name": change.fingerprint}

auto_apply(field) := {"kind": "Mesh", "name": "mesh", "field": concat(".", ["autoApply", field])}

finding(metadata, object, message, fix) := {
	"code": metadata.custom.code,
	"severity": metadata.custom.severity,
	"message": message,
	"object": object,
	"fix": fix,
}

# The input's shape; anything missing denies before a rule is asked.
problems := union({
	shape.object_problems("input", input, input_fields),
	shape.object_problems("changeset", shape.at(["changeset"]), changeset_fields),
	shape.object_problems("unapproved", shape.at(["unapproved"]), changeset_fields),
	shape.object_problems("autoApply", shape.at(["autoApply"]), auto_apply_fields),
	shape.object_problems("forecast", shape.at(["forecast"]), {"model": {"string"}, "wape": {"number"}, "drift": {"number"}, "confidence": {"number"}, "regret": {"object"}}),
	shape.object_problems("forecast.regret", shape.at(["forecast", "regret"]), regret_fields),
	record_problems,
	shape.list_problems("changeset.changes", shape.at(["changeset", "changes"]), change_fields),
	shape.list_problems("unapproved.changes", shape.at(["unapproved", "changes"]), change_fields),
	shape.list_problems("anomalies", shape.at(["anomalies"]), unusual.fields),
	cause_problems,
})

# The record of each kind must be there as well: without it a poor one would pass for none.
record_problems contains problem if {
	some kind in ["tunnel-add", "tunnel-remove", "reroute", "split"]
	some problem in shape.object_problems(concat(".", ["forecast.regret.byKind", kind]), shape.at(["forecast", "regret", "byKind", kind]), record_fields)
}

record_fields := {"scored": {"number"}, "needed": {"number"}, "notNeeded": {"number"}, "harmful": {"number"}, "commits": {"number"}}

regret_fields := object.union(record_fields, {"windowDays": {"number"}, "recentShareNeeded": {"number", "null"}, "byKind": {"object"}})

causes := {"initial", "forecast", "idle", "failure", "intent", "override", "expiry", "revert", "policy"}

cause_problems contains "input.cause" if not shape.at(["cause"]) in causes

input_fields := {
	"now": {"number"},
	"cause": {"string"},
	"changeset": {"object"},
	"unapproved": {"object"},
	"forecast": {"object"},
	"changesLastHour": {"number"},
	"autoApply": {"object"},
	"vetoes": {"array"},
	"anomalies": {"array"},
}

changeset_fields := {
	"digest": {"string"},
	"changes": {"array"},
	"tunnelsAdded": {"number"},
	"tunnelsRemoved": {"number"},
	"tunnelsMoved": {"number"},
	"sitesTouched": {"array"},
	"trafficMovedShare": {"number"},
	"usdPerMonthDelta": {"number"},
}

auto_apply_fields := {
	"tunnelsMax": {"number"},
	"sitesMax": {"number"},
	"trafficShareMax": {"number"},
	"changesPerHourMax": {"number"},
}

change_fields := {
	"key": {"object"},
	"fingerprint": {"string"},
	"impact": {"string"},
	"summary": {"string"},
	"tunnel": {"string", "null"},
	"pair": {"string", "null"},
}
