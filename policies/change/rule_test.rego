package foremesh.change_test

import data.foremesh.change

changes_at_every_limit := {
	"digest": "sha256:1",
	"changes": [{"key": {"kind": "tunnel-add"}, "fingerprint": "f1", "impact": "none", "summary": "+ tunnel a~b", "tunnel": "t-1", "pair": "a>b"}],
	"tunnelsAdded": 2,
	"tunnelsRemoved": 1,
	"tunnelsMoved": 1,
	"sitesTouched": ["a", "b", "c"],
	"trafficMovedShare": 0.5,
	"usdPerMonthDelta": 1000,
}

# As poor as it may be.
counts_at_every_limit := {"scored": 10, "needed": 4, "notNeeded": 4, "harmful": 2, "unknown": 3, "commits": 3}

record_at_every_limit := object.union(counts_at_every_limit, {
	"windowDays": 30,
	"recentShareNeeded": 0.4,
	"byKind": {kind: counts_at_every_limit | some kind in ["tunnel-add", "tunnel-remove", "reroute", "split"]},
})

no_counts := {"scored": 0, "needed": 0, "notNeeded": 0, "harmful": 0, "unknown": 0, "commits": 0}

good := {
	"now": 0,
	"cause": "forecast",
	"changeset": changes_at_every_limit,
	"unapproved": changes_at_every_limit,
	"forecast": {"model": "ewma", "wape": 0.6, "drift": 0, "confidence": 1, "regret": record_at_every_limit},
	"changesLastHour": 19,
	"autoApply": {"tunnelsMax": 4, "sitesMax": 3, "trafficShareMax": 0.5, "changesPerHourMax": 20},
	"vetoes": [],
	"anomalies": [surge("medium")],
}

surge(severity) := {"kind": "surge", "from": "b", "to": "a", "severity": severity, "words": "much"}

admission(summary) := {"key": {"kind": "admission"}, "fingerprint": "f2", "impact": "none", "summary": summary, "tunnel": null, "pair": "a>b"}

interrupted(names) := [{"key": {"kind": "reroute"}, "fingerprint": name, "impact": "interrupt", "summary": "~", "tunnel": null, "pair": name} | some name in names]

changed(path, value) := json.patch(good, [{"op": "replace", "path": path, "value": value}])

caused(document, cause) := json.patch(document, [{"op": "replace", "path": "/cause", "value": cause}])

verdict_on(document) := result if {
	result := change.verdict with input as document
}

codes_on(document) := {reason.code | some reason in verdict_on(document).reasons}

test_change_at_every_limit_is_allowed if {
	result := verdict_on(good)
	result.decision == "allow"
	result.reasons == []
}

fires := [
	{"path": "/vetoes", "value": ["f1"], "code": "CHANGE_VETOED", "decision": "deny"},
	{"path": "/unapproved/tunnelsAdded", "value": 3, "code": "CHANGE_TUNNELS", "decision": "needsApproval"},
	{"path": "/unapproved/tunnelsRemoved", "value": 2, "code": "CHANGE_TUNNELS", "decision": "needsApproval"},
	{"path": "/unapproved/tunnelsMoved", "value": 2, "code": "CHANGE_TUNNELS", "decision": "needsApproval"},
	{"path": "/unapproved/sitesTouched", "value": ["a", "b", "c", "d"], "code": "CHANGE_SITES", "decision": "needsApproval"},
	{"path": "/unapproved/trafficMovedShare", "value": 0.51, "code": "CHANGE_TRAFFIC_SHARE", "decision": "needsApproval"},
	{"path": "/changesLastHour", "value": 20, "code": "CHANGE_HOURLY_BUDGET", "decision": "needsApproval"},
	{"path": "/unapproved/usdPerMonthDelta", "value": 1001, "code": "CHANGE_COST", "decision": "needsApproval"},
	{"path": "/unapproved/changes", "value": [admission("+ a and b may talk")], "code": "CHANGE_ADMISSION", "decision": "needsApproval"},
	{"path": "/unapproved/changes", "value": interrupted(["a>b", "a>c", "b>c"]), "code": "CHANGE_INTERRUPTS", "decision": "needsApproval"},
	{"path": "/forecast/regret/harmful", "value": 3, "code": "CHANGE_REGRET", "decision": "needsApproval"},
	{"path": "/forecast/regret/needed", "value": 3, "code": "CHANGE_REGRET", "decision": "needsApproval"},
	{"path": "/forecast/regret/byKind/tunnel-add/harmful", "value": 3, "code": "CHANGE_REGRET", "decision": "needsApproval"},
	{"path": "/forecast/regret/byKind/tunnel-add/needed", "value": 3, "code": "CHANGE_REGRET", "decision": "needsApproval"},
	{"path": "/forecast/confidence", "value": 0.9, "code": "CHANGE_FORECAST_DRIFTS", "decision": "allow"},
	{"path": "/anomalies", "value": [surge("high")], "code": "CHANGE_UNUSUAL", "decision": "needsApproval"},
	{"path": "/forecast/wape", "value": 0.7, "code": "CHANGE_FORECAST_UNSURE", "decision": "allow"},
]

test_each_rule_fires if {
	every case in fires {
		document := changed(case.path, case.value)
		codes_on(document) == {case.code}
		verdict_on(document).decision == case.decision
	}
}

test_every_rule_has_a_case if change.rules_run - {"CHANGE_INPUT"} == {case.code | some case in fires}

test_poor_record_of_a_kind_asks_only_for_changes_of_that_kind if {
	every kind in ["tunnel-remove", "reroute", "split"] {
		verdict_on(changed(sprintf("/forecast/regret/byKind/%s/harmful", [kind]), 9)).reasons == []
	}
	reroutes := {"reroute": [["p"]], "split": [["p"], ["q"]]}
	every kind, paths in reroutes {
		document := json.patch(changed(sprintf("/forecast/regret/byKind/%s/harmful", [kind]), 9), [{"op": "replace", "path": "/unapproved/changes/0/key", "value": {"kind": "reroute", "paths": paths}}])
		codes_on(document) == {"CHANGE_REGRET"}
	}
}

test_poor_record_of_forecasts_asks_for_nothing_that_has_another_cause if {
	every cause in ["initial", "failure", "intent", "override", "expiry", "revert", "policy"] {
		not "CHANGE_REGRET" in codes_on(caused(changed("/forecast/regret/harmful", 9), cause))
	}
	"CHANGE_REGRET" in codes_on(caused(changed("/forecast/regret/harmful", 9), "idle"))
}

test_too_few_judged_changes_or_commits_say_nothing if {
	few := json.patch(good, [
		{"op": "replace", "path": "/forecast/regret/scored", "value": 4},
		{"op": "replace", "path": "/forecast/regret/needed", "value": 0},
		{"op": "replace", "path": "/forecast/regret/harmful", "value": 4},
	])
	verdict_on(few).reasons == []
	one_commit := json.patch(changed("/forecast/regret/harmful", 9), [{"op": "replace", "path": "/forecast/regret/commits", "value": 2}])
	verdict_on(one_commit).reasons == []
}

# Nothing has been judged yet: the fields are there and say so. A field that is not there is another thing, and denies (below).
test_new_mesh_is_asked_nothing_about_a_past_it_does_not_have if {
	nothing := object.union(no_counts, {"windowDays": 30, "recentShareNeeded": null, "byKind": {kind: no_counts | some kind in ["tunnel-add", "tunnel-remove", "reroute", "split"]}})
	every cause in ["initial", "forecast", "idle"] {
		result := verdict_on(caused(changed("/forecast/regret", nothing), cause))
		result.decision == "allow"
		result.reasons == []
	}
}

test_approval_outweighs_a_poor_record if {
	document := json.patch(changed("/forecast/regret/harmful", 9), [{"op": "replace", "path": "/unapproved/changes", "value": []}])
	verdict_on(document).decision == "allow"
}

test_unusual_traffic_holds_up_forecasts_only if {
	every cause in ["failure", "idle", "intent", "initial", "override"] {
		verdict_on(caused(changed("/anomalies", [surge("high")]), cause)).decision == "allow"
	}
}

test_unusual_traffic_of_others_asks_nobody if verdict_on(changed("/anomalies", [object.union(surge("high"), {"to": "c"})])).decision == "allow"

test_lost_admission_asks_nobody if verdict_on(changed("/unapproved/changes", [admission("- a and b may talk")])).decision == "allow"

test_two_interrupted_pairs_ask_nobody if verdict_on(changed("/unapproved/changes", interrupted(["a>b", "a>c"]))).decision == "allow"

# Everything that asks, at once.
large := json.patch(good, [
	{"op": "replace", "path": "/unapproved/tunnelsAdded", "value": 100},
	{"op": "replace", "path": "/unapproved/sitesTouched", "value": ["a", "b", "c", "d"]},
	{"op": "replace", "path": "/unapproved/trafficMovedShare", "value": 1},
	{"op": "replace", "path": "/unapproved/usdPerMonthDelta", "value": 99999},
	{"op": "replace", "path": "/changesLastHour", "value": 99},
	{"op": "add", "path": "/unapproved/changes/-", "value": admission("+ a and b may talk")},
])

test_first_plan_is_allowed_whatever_its_size if verdict_on(caused(large, "initial")).decision == "allow"

test_acts_of_a_person_are_allowed_and_say_what_they_exceed if {
	every cause in ["revert", "override", "expiry"] {
		result := verdict_on(caused(large, cause))
		result.decision == "allow"
		count(result.reasons) > 3
	}
}

test_other_causes_ask if {
	every cause in ["forecast", "idle", "failure", "intent", "policy"] {
		verdict_on(caused(large, cause)).decision == "needsApproval"
	}
}

wholly_approved := json.patch(large, [{"op": "replace", "path": "/unapproved/changes", "value": []}])

test_approval_of_all_of_it_allows if verdict_on(wholly_approved).decision == "allow"

test_approval_of_the_large_part_allows if {
	verdict_on(json.patch(good, [{"op": "replace", "path": "/changeset/tunnelsMoved", "value": 100}])).decision == "allow"
}

test_approval_of_a_part_does_not_cover_the_rest if verdict_on(large).decision == "needsApproval"

test_no_change_at_all_was_not_approved_by_anybody if {
	verdict_on(json.patch(wholly_approved, [{"op": "replace", "path": "/changeset/changes", "value": []}])).decision == "needsApproval"
}

test_veto_outranks_everything if {
	vetoed := json.patch(wholly_approved, [{"op": "replace", "path": "/vetoes", "value": ["f1"]}])
	every cause in ["initial", "forecast", "failure", "override", "intent"] {
		verdict_on(caused(vetoed, cause)).decision == "deny"
	}
}

test_failure_may_move_twice_as_many_tunnels_and_no_more if {
	verdict_on(caused(changed("/unapproved/tunnelsMoved", 5), "failure")).decision == "allow"
	verdict_on(caused(changed("/unapproved/tunnelsMoved", 6), "failure")).decision == "needsApproval"
}

test_failure_may_touch_any_site_and_share_and_cost if {
	document := json.patch(good, [
		{"op": "replace", "path": "/unapproved/sitesTouched", "value": ["a", "b", "c", "d", "e"]},
		{"op": "replace", "path": "/unapproved/trafficMovedShare", "value": 1},
		{"op": "replace", "path": "/unapproved/usdPerMonthDelta", "value": 5000},
	])
	verdict_on(caused(document, "failure")).decision == "allow"
}

test_failure_does_not_overrule_the_hourly_budget if verdict_on(caused(changed("/changesLastHour", 20), "failure")).decision == "needsApproval"

needed := [
	"now",
	"cause",
	"changeset",
	"changeset/digest",
	"changeset/changes",
	"changeset/changes/0/key",
	"changeset/changes/0/fingerprint",
	"changeset/changes/0/impact",
	"changeset/changes/0/summary",
	"changeset/changes/0/tunnel",
	"changeset/changes/0/pair",
	"changeset/tunnelsAdded",
	"changeset/tunnelsRemoved",
	"changeset/tunnelsMoved",
	"changeset/sitesTouched",
	"changeset/trafficMovedShare",
	"changeset/usdPerMonthDelta",
	"unapproved",
	"unapproved/digest",
	"unapproved/changes",
	"unapproved/changes/0/key",
	"unapproved/changes/0/fingerprint",
	"unapproved/changes/0/impact",
	"unapproved/changes/0/summary",
	"unapproved/changes/0/tunnel",
	"unapproved/changes/0/pair",
	"unapproved/tunnelsAdded",
	"unapproved/tunnelsRemoved",
	"unapproved/tunnelsMoved",
	"unapproved/sitesTouched",
	"unapproved/trafficMovedShare",
	"unapproved/usdPerMonthDelta",
	"forecast",
	"forecast/model",
	"forecast/wape",
	"forecast/drift",
	"forecast/confidence",
	"forecast/regret",
	"forecast/regret/scored",
	"forecast/regret/needed",
	"forecast/regret/notNeeded",
	"forecast/regret/harmful",
	"forecast/regret/commits",
	"forecast/regret/windowDays",
	"forecast/regret/recentShareNeeded",
	"forecast/regret/byKind",
	"forecast/regret/byKind/tunnel-add",
	"forecast/regret/byKind/tunnel-remove",
	"forecast/regret/byKind/reroute",
	"forecast/regret/byKind/split",
	"forecast/regret/byKind/split/harmful",
	"changesLastHour",
	"autoApply",
	"autoApply/tunnelsMax",
	"autoApply/sitesMax",
	"autoApply/trafficShareMax",
	"autoApply/changesPerHourMax",
	"vetoes",
	"anomalies",
	"anomalies/0/kind",
	"anomalies/0/from",
	"anomalies/0/to",
	"anomalies/0/severity",
	"anomalies/0/words",
]

test_missing_field_denies if {
	every path in needed {
		result := verdict_on(json.patch(good, [{"op": "remove", "path": concat("", ["/", path])}]))
		result.decision == "deny"
		result.reasons[0].code == "POLICY_INPUT_INVALID"
	}
}

test_unknown_cause_denies if verdict_on(caused(good, "whim")).decision == "deny"

test_input_that_is_no_object_denies if {
	every document in [null, 1, "x", []] {
		verdict_on(document).decision == "deny"
	}
}
