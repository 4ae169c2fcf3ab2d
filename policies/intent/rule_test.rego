package foremesh.intent_test

import data.foremesh.intent

good := {
	"now": 0,
	"intent": {
		"mesh": {
			"name": "m",
			"overlayPrefix": "172.30.0.0/16",
			"protectedPrefixes": ["10.0.0.0/8", "172.30.0.0/16"],
			"autoApply": {"trafficShareMax": 0.5},
		},
		"sites": [{"id": "berlin", "prefixes": ["10.1.0.0/24"], "nodes": [{"uplinks": [{}, {}]}]}],
		"classes": [{"id": "voice", "protection": "backup"}],
		"securityProfiles": [{
			"name": "standard",
			"level": 2,
			"ike": [{"encryption": "aes128gcm16", "integrity": "none", "prf": "prfsha256", "group": "x25519"}],
			"esp": [{"encryption": "aes128gcm16", "integrity": "none", "prf": "none", "group": "x25519"}],
			"ikeRekeyMs": 14400000,
			"espRekeyMs": 3600000,
			"pfs": true,
			"postQuantum": "off",
		}],
	},
}

profile(path) := concat("/", ["/intent/securityProfiles/0", path])

changed(path, value) := json.patch(good, [{"op": "replace", "path": path, "value": value}])

verdict_on(document) := result if {
	result := intent.verdict with input as document
}

codes_on(document) := {reason.code | some reason in verdict_on(document).reasons}

test_sound_intent_is_allowed if {
	result := verdict_on(good)
	result.decision == "allow"
	result.reasons == []
}

# Each rule: what fires it, its code, and the decision that follows.
fires := [
	{"path": profile("esp/0/encryption"), "value": "3des", "code": "INTENT_CIPHER_WEAK", "decision": "deny"},
	{"path": profile("esp/0/encryption"), "value": "null", "code": "INTENT_CIPHER_WEAK", "decision": "deny"},
	{"path": profile("esp/0/integrity"), "value": "md5", "code": "INTENT_CIPHER_WEAK", "decision": "deny"},
	{"path": profile("esp/0/integrity"), "value": "sha1", "code": "INTENT_CIPHER_WEAK", "decision": "deny"},
	{"path": profile("ike/0/prf"), "value": "prfsha1", "code": "INTENT_CIPHER_WEAK", "decision": "deny"},
	{"path": profile("ike/0/group"), "value": "modp768", "code": "INTENT_CIPHER_WEAK", "decision": "deny"},
	{"path": profile("ike/0/group"), "value": "modp1024", "code": "INTENT_CIPHER_WEAK", "decision": "deny"},
	{"path": profile("ike/0/group"), "value": "modp1536", "code": "INTENT_CIPHER_WEAK", "decision": "deny"},
	{"path": profile("esp/0/encryption"), "value": "aes256cbc", "code": "INTENT_CIPHER_UNAUTHENTICATED", "decision": "deny"},
	{"path": profile("ike/0/prf"), "value": "none", "code": "INTENT_IKE_INCOMPLETE", "decision": "deny"},
	{"path": profile("ike/0/group"), "value": "none", "code": "INTENT_IKE_INCOMPLETE", "decision": "deny"},
	{"path": profile("pfs"), "value": false, "code": "INTENT_PFS_REQUIRED", "decision": "deny"},
	{"path": profile("esp/0/group"), "value": "none", "code": "INTENT_PFS_REQUIRED", "decision": "deny"},
	{"path": profile("level"), "value": 3, "code": "INTENT_LEVEL_OVERSTATED", "decision": "deny"},
	{"path": profile("ike/0/group"), "value": "modp2048", "code": "INTENT_LEVEL_OVERSTATED", "decision": "deny"},
	{"path": profile("postQuantum"), "value": "kyber", "code": "INTENT_POST_QUANTUM_UNAVAILABLE", "decision": "deny"},
	{"path": profile("ikeRekeyMs"), "value": 59999, "code": "INTENT_REKEY_BOUNDS", "decision": "deny"},
	{"path": profile("espRekeyMs"), "value": 28800001, "code": "INTENT_REKEY_BOUNDS", "decision": "deny"},
	{"path": "/intent/sites/0/prefixes", "value": ["8.0.0.0/7"], "code": "INTENT_PREFIX_WIDE", "decision": "deny"},
	{"path": "/intent/sites/0/prefixes", "value": ["10.1.0.0/24", "2000::/3"], "code": "INTENT_PREFIX_WIDE", "decision": "deny"},
	{"path": "/intent/mesh/protectedPrefixes", "value": ["10.0.0.0/8", "fd00::/8"], "code": "INTENT_OVERLAY_UNPROTECTED", "decision": "deny"},
	{"path": "/intent/mesh/protectedPrefixes", "value": ["10.0.0.0/8"], "code": "INTENT_OVERLAY_UNPROTECTED", "decision": "deny"},
	{"path": "/intent/mesh/protectedPrefixes", "value": [], "code": "INTENT_OVERLAY_UNPROTECTED", "decision": "deny"},
	{"path": "/intent/mesh/autoApply/trafficShareMax", "value": 0.9, "code": "INTENT_AUTO_APPLY_WIDE", "decision": "allow"},
	{"path": "/intent/sites/0/nodes", "value": [{"uplinks": [{}]}], "code": "INTENT_UPLINK_SINGLE", "decision": "allow"},
]

test_each_rule_fires if {
	every case in fires {
		case.code in codes_on(changed(case.path, case.value))
		verdict_on(changed(case.path, case.value)).decision == case.decision
	}
}

test_every_rule_has_a_case if intent.rules_run - {"INTENT_INPUT"} == {case.code | some case in fires}

# The neighbour of each bound is fine.
fits := [
	{"path": profile("ikeRekeyMs"), "value": 60000},
	{"path": profile("espRekeyMs"), "value": 28800000},
	{"path": "/intent/sites/0/prefixes", "value": ["10.0.0.0/8"]},
	{"path": "/intent/sites/0/prefixes", "value": ["fd00:1::/64", "10.1.0.0/24"]},
	{"path": "/intent/mesh/protectedPrefixes", "value": ["fd00::/8", "172.30.0.0/16"]},
	{"path": "/intent/mesh/autoApply/trafficShareMax", "value": 0.8},
	{"path": profile("ike/0/group"), "value": "ecp384"},
	{"path": "/intent/classes/0/protection", "value": "none"},
]

test_neighbours_are_allowed if {
	every case in fits {
		codes_on(changed(case.path, case.value)) == set()
	}
}

test_cbc_with_sha2_is_allowed_at_level_1 if {
	document := json.patch(good, [
		{"op": "replace", "path": profile("level"), "value": 1},
		{"op": "replace", "path": profile("esp/0/encryption"), "value": "aes256cbc"},
		{"op": "replace", "path": profile("esp/0/integrity"), "value": "sha256"},
	])
	codes_on(document) == set()
}

test_finding_names_its_object if {
	result := verdict_on(changed(profile("esp/0/encryption"), "3des"))
	some reason in result.reasons
	reason.code == "INTENT_CIPHER_WEAK"
	reason.object == {"kind": "SecurityProfile", "name": "standard", "field": "esp[0].encryption"}
}

# Every field a rule reads; without it the answer is no.
needed := [
	"now",
	"intent",
	"intent/mesh",
	"intent/mesh/name",
	"intent/mesh/overlayPrefix",
	"intent/mesh/protectedPrefixes",
	"intent/mesh/autoApply",
	"intent/mesh/autoApply/trafficShareMax",
	"intent/sites",
	"intent/sites/0/id",
	"intent/sites/0/prefixes",
	"intent/sites/0/nodes",
	"intent/sites/0/nodes/0/uplinks",
	"intent/classes",
	"intent/classes/0/id",
	"intent/classes/0/protection",
	"intent/securityProfiles",
	"intent/securityProfiles/0/name",
	"intent/securityProfiles/0/level",
	"intent/securityProfiles/0/ike",
	"intent/securityProfiles/0/ike/0/encryption",
	"intent/securityProfiles/0/ike/0/integrity",
	"intent/securityProfiles/0/ike/0/prf",
	"intent/securityProfiles/0/ike/0/group",
	"intent/securityProfiles/0/esp",
	"intent/securityProfiles/0/esp/0/encryption",
	"intent/securityProfiles/0/esp/0/group",
	"intent/securityProfiles/0/ikeRekeyMs",
	"intent/securityProfiles/0/espRekeyMs",
	"intent/securityProfiles/0/pfs",
	"intent/securityProfiles/0/postQuantum",
]

test_missing_field_denies if {
	every path in needed {
		result := verdict_on(json.patch(good, [{"op": "remove", "path": concat("", ["/", path])}]))
		result.decision == "deny"
		result.reasons[0].code == "POLICY_INPUT_INVALID"
	}
}

test_prefix_that_is_none_denies if verdict_on(changed("/intent/sites/0/prefixes", ["everything"])).decision == "deny"

test_input_that_is_no_object_denies if {
	every document in [null, 1, "x", []] {
		verdict_on(document).decision == "deny"
	}
}
