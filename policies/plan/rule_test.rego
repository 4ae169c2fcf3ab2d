package foremesh.plan_test

import data.foremesh.plan

suite := {"encryption": "aes128gcm16", "integrity": "none", "prf": "prfsha256", "group": "x25519"}

end(site, uplink) := {"node": "n", "site": site, "uplink": uplink, "provider": "telekom", "drain": false}

good := {
	"now": 1000,
	"tunnels": {
		"t1": {"id": "t1", "path": "p1", "pair": "a>b", "ends": [end("a", "a1/x"), end("b", "b1/x")], "securityLevel": 2, "postQuantum": "mlkem", "isNew": true},
		"t2": {"id": "t2", "path": "p2", "pair": "b>c", "ends": [end("b", "b1/x"), end("c", "c1/x")], "securityLevel": 2, "postQuantum": "off", "isNew": false},
	},
	"nodes": {
		"b1": {"site": "b", "tunnels": 2, "tunnelsMax": 2, "mlKem": false},
		"n": {"site": "a", "tunnels": 1, "tunnelsMax": 2, "mlKem": true},
	},
	"sites": {
		"a": {"provider": "onprem", "region": "north", "relay": false},
		"b": {"provider": "aws", "region": "south", "relay": true},
		"c": {"provider": "onprem", "region": "north", "relay": false},
	},
	"classes": {"voice": {"protection": "backup"}},
	"pairs": {
		"a>b": pair([way(["t1"], [])]),
		"b>c": pair([]),
		"a>c": pair([way(["t1", "t2"], ["b"])]),
	},
	"overrides": [{"id": "o", "until": 2000, "why": "works", "by": "ada"}],
	"anomalies": [anomaly("drop", "b", "a")],
	"securityProfiles": [{"name": "standard", "ike": [suite], "esp": [suite]}],
	"admittedUnfounded": [],
}

anomaly(kind, from, to) := {"kind": kind, "from": from, "to": to, "severity": "high", "words": "much"}

pair(ways) := {
	"admitted": true,
	"connection": "everyone",
	"relays": "allow",
	"backup": "class",
	"securityLevel": 2,
	"avoid": {"regions": [], "providers": [], "uplinks": []},
	"ways": ways,
	"carried": {"voice": {"routes": 1, "backups": 1}},
}

way(tunnels, relays) := {"tunnels": tunnels, "relays": relays}

changed(path, value) := json.patch(good, [{"op": "replace", "path": path, "value": value}])

verdict_on(document) := result if {
	result := plan.verdict with input as document
}

codes_on(document) := {reason.code | some reason in verdict_on(document).reasons}

objects_on(document, code) := {concat(" ", [reason.object.kind, reason.object.name]) |
	some reason in verdict_on(document).reasons
	reason.code == code
}

test_sound_plan_is_allowed if {
	result := verdict_on(good)
	result.decision == "allow"
	result.reasons == []
}

fires := [
	{"path": "/pairs/b>c/admitted", "value": false, "code": "PLAN_PAIR_NOT_ADMITTED", "object": "Tunnel t2", "decision": "deny"},
	{"path": "/pairs/a>c/admitted", "value": false, "code": "PLAN_PAIR_NOT_ADMITTED", "object": "Pair a>c", "decision": "deny"},
	{"path": "/admittedUnfounded", "value": ["a>z"], "code": "PLAN_ADMISSION_UNFOUNDED", "object": "Pair a>z", "decision": "deny"},
	{"path": "/pairs/a>c/relays", "value": "deny", "code": "PLAN_RELAY_DENIED", "object": "Pair a>c", "decision": "deny"},
	{"path": "/sites/b/relay", "value": false, "code": "PLAN_RELAY_UNWILLING", "object": "Site b", "decision": "deny"},
	{"path": "/pairs/a>c/avoid/regions", "value": ["south"], "code": "PLAN_AVOIDED", "object": "Tunnel t2", "decision": "deny"},
	{"path": "/pairs/a>b/avoid/providers", "value": ["telekom"], "code": "PLAN_AVOIDED", "object": "Tunnel t1", "decision": "deny"},
	{"path": "/pairs/a>b/avoid/providers", "value": ["aws"], "code": "PLAN_AVOIDED", "object": "Tunnel t1", "decision": "deny"},
	{"path": "/pairs/a>b/avoid/uplinks", "value": ["a1/x"], "code": "PLAN_AVOIDED", "object": "Tunnel t1", "decision": "deny"},
	{"path": "/tunnels/t1/ends/0/drain", "value": true, "code": "PLAN_UPLINK_DRAINED", "object": "Tunnel t1", "decision": "deny"},
	{"path": "/nodes/b1/tunnelsMax", "value": 1, "code": "PLAN_TUNNEL_LIMIT", "object": "Node b1", "decision": "deny"},
	{"path": "/pairs/a>c/securityLevel", "value": 3, "code": "PLAN_SECURITY_LEVEL", "object": "Tunnel t2", "decision": "deny"},
	{"path": "/securityProfiles/0/esp/0/encryption", "value": "3des", "code": "PLAN_CIPHER_WEAK", "object": "SecurityProfile standard", "decision": "deny"},
	{"path": "/securityProfiles/0/ike/0/group", "value": "modp1024", "code": "PLAN_CIPHER_WEAK", "object": "SecurityProfile standard", "decision": "deny"},
	{"path": "/securityProfiles/0/esp/0/encryption", "value": "aes128cbc", "code": "PLAN_CIPHER_WEAK", "object": "SecurityProfile standard", "decision": "deny"},
	{"path": "/anomalies", "value": [anomaly("surge", "b", "a")], "code": "PLAN_GROWTH_UNUSUAL", "object": "Tunnel t1", "decision": "allow"},
	{"path": "/anomalies", "value": [anomaly("fan-out", "a", null)], "code": "PLAN_GROWTH_UNUSUAL", "object": "Tunnel t1", "decision": "allow"},
	{"path": "/pairs/a>b/carried/voice/backups", "value": 0, "code": "PLAN_BACKUP_MISSING", "object": "Pair a>b", "decision": "allow"},
	{"path": "/nodes/n/mlKem", "value": false, "code": "PLAN_MLKEM_MISSING", "object": "Tunnel t1", "decision": "allow"},
	{"path": "/overrides/0/why", "value": " ", "code": "PLAN_OVERRIDE_UNBOUNDED", "object": "Override o", "decision": "deny"},
	{"path": "/overrides/0/by", "value": "", "code": "PLAN_OVERRIDE_UNBOUNDED", "object": "Override o", "decision": "deny"},
	{"path": "/overrides/0/until", "value": 1000 + 86460001, "code": "PLAN_OVERRIDE_UNBOUNDED", "object": "Override o", "decision": "deny"},
]

test_each_rule_fires if {
	every case in fires {
		document := changed(case.path, case.value)
		case.object in objects_on(document, case.code)
		verdict_on(document).decision == case.decision
	}
}

test_every_rule_has_a_case if plan.rules_run - {"PLAN_INPUT"} == {case.code | some case in fires}

fits := [
	{"path": "/anomalies", "value": []},
	{"path": "/anomalies", "value": [anomaly("surge", "b", "c")]},
	{"path": "/overrides/0/until", "value": 1000 + 86460000},
	{"path": "/tunnels/t2/ends/0/drain", "value": true},
	{"path": "/nodes/n/mlKem", "value": null},
	{"path": "/pairs/a>b/securityLevel", "value": 1},
	{"path": "/pairs/a>b/relays", "value": "deny"},
	{"path": "/pairs/a>b/avoid/regions", "value": ["east"]},
	{"path": "/classes/voice/protection", "value": "none"},
	{"path": "/pairs/a>b/carried/voice", "value": {"routes": 0, "backups": 0}},
]

test_neighbours_are_allowed if {
	every case in fits {
		codes_on(changed(case.path, case.value)) == set()
	}
}

test_no_backup_is_fine_where_the_connection_wants_none if {
	document := json.patch(good, [
		{"op": "replace", "path": "/pairs/a>b/carried/voice/backups", "value": 0},
		{"op": "replace", "path": "/pairs/a>b/backup", "value": "none"},
	])
	codes_on(document) == set()
}

# Every field a rule reads, and everything a rule looks up; without it the answer is no.
needed := [
	"now",
	"tunnels",
	"tunnels/t1",
	"tunnels/t1/id",
	"tunnels/t1/path",
	"tunnels/t1/pair",
	"tunnels/t1/ends",
	"tunnels/t1/ends/0",
	"tunnels/t1/ends/0/site",
	"tunnels/t1/ends/0/uplink",
	"tunnels/t1/ends/0/provider",
	"tunnels/t1/ends/0/drain",
	"tunnels/t1/securityLevel",
	"tunnels/t1/isNew",
	"tunnels/t1/postQuantum",
	"nodes",
	"nodes/b1/tunnels",
	"nodes/b1/tunnelsMax",
	"nodes/b1/mlKem",
	"sites",
	"sites/a",
	"sites/a/region",
	"sites/a/provider",
	"sites/b/relay",
	"classes",
	"classes/voice",
	"classes/voice/protection",
	"pairs",
	"pairs/a>b",
	"pairs/b>c",
	"tunnels/t2",
	"sites/b",
	"pairs/a>b/admitted",
	"pairs/a>b/connection",
	"pairs/a>b/relays",
	"pairs/a>b/backup",
	"pairs/a>b/securityLevel",
	"pairs/a>b/avoid",
	"pairs/a>b/avoid/regions",
	"pairs/a>b/avoid/providers",
	"pairs/a>b/avoid/uplinks",
	"pairs/a>b/ways",
	"pairs/a>b/ways/0/tunnels",
	"pairs/a>c/ways/0/relays",
	"pairs/a>b/carried",
	"pairs/a>b/carried/voice/routes",
	"pairs/a>b/carried/voice/backups",
	"overrides",
	"overrides/0/id",
	"overrides/0/until",
	"overrides/0/why",
	"overrides/0/by",
	"securityProfiles",
	"securityProfiles/0/name",
	"securityProfiles/0/ike",
	"securityProfiles/0/esp",
	"securityProfiles/0/esp/0/encryption",
	"securityProfiles/0/esp/0/integrity",
	"securityProfiles/0/esp/0/group",
	"securityProfiles/0/ike/0/prf",
	"admittedUnfounded",
	"anomalies",
	"anomalies/0/kind",
	"anomalies/0/from",
	"anomalies/0/to",
	"anomalies/0/severity",
	"anomalies/0/words",
]

# In three, each well below the time that one test may take on a busy machine.
test_missing_field_of_a_tunnel_denies if {
	every path in [path | some path in needed; startswith(path, "tunnels")] {
		is_denied_without(path)
	}
}

test_missing_field_of_a_pair_denies if {
	every path in [path | some path in needed; startswith(path, "pairs")] {
		is_denied_without(path)
	}
}

test_missing_field_denies if {
	every path in [path | some path in needed; not startswith(path, "tunnels"); not startswith(path, "pairs")] {
		is_denied_without(path)
	}
}

is_denied_without(path) if {
	result := verdict_on(json.patch(good, [{"op": "remove", "path": concat("", ["/", path])}]))
	result.decision == "deny"
	result.reasons[0].code == "POLICY_INPUT_INVALID"
}

test_input_that_is_no_object_denies if {
	every document in [null, 1, "x", []] {
		verdict_on(document).decision == "deny"
	}
}
