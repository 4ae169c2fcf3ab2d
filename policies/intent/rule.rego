# METADATA
# title: What an intent may ask for
# description: >-
#   Judges the YAML of a mesh repository before anything is planned. Any error denies. Add a rule of your own as
#   another `findings contains finding if …` in this package, with METADATA that names its code, and a test beside it.
package foremesh.intent

import data.foremesh.lib.crypto
import data.foremesh.lib.input as shape

default verdict := {"decision": "deny", "reasons": [], "rulesRun": ["INTENT_INPUT"]}

# METADATA
# entrypoint: true
verdict := shape.refusal(problems, ["INTENT_INPUT"]) if {
	count(problems) > 0
} else := {
	"decision": decision,
	"reasons": [reason | some reason in findings],
	"rulesRun": rules_run,
}

decision := "deny" if {
	some finding in findings
	finding.severity == "error"
} else := "allow"

# What this verdict has looked at, so that silence is not mistaken for consent. A rule of your own adds its code.
rules_run contains code if {
	some code in {
		"INTENT_AUTO_APPLY_WIDE",
		"INTENT_CIPHER_UNAUTHENTICATED",
		"INTENT_CIPHER_WEAK",
		"INTENT_IKE_INCOMPLETE",
		"INTENT_INPUT",
		"INTENT_LEVEL_OVERSTATED",
		"INTENT_OVERLAY_UNPROTECTED",
		"INTENT_PFS_REQUIRED",
		"INTENT_POST_QUANTUM_UNAVAILABLE",
		"INTENT_PREFIX_WIDE",
		"INTENT_REKEY_BOUNDS",
		"INTENT_UPLINK_SINGLE",
	}
}

# Bounds. Times in ms.
rekey_min_ms := 60000

ike_rekey_max_ms := 86400000

esp_rekey_max_ms := 28800000

prefix_length_min := 8

auto_apply_share_max := 0.8

level_minimum := {
	2: {"encryption": crypto.aead, "group": {"x25519", "ecp256", "ecp384", "ecp521", "modp3072"}},
	3: {"encryption": {"aes256gcm16", "chacha20poly1305"}, "group": {"ecp384", "ecp521"}},
}

# METADATA
# title: No weak algorithm
# description: Broken ciphers, hashes and groups are accepted by the schema only so that this rule can say why they are not.
# custom:
#   code: INTENT_CIPHER_WEAK
#   severity: error
findings contains finding(rego.metadata.rule(), profile_field(profile, part, index, weakness.field), message, "use aes128gcm16 or aes256gcm16 with prfsha256 and x25519 or ecp384") if {
	some profile in input.intent.securityProfiles
	some part in ["ike", "esp"]
	some index, suite in profile[part]
	some weakness in crypto.weaknesses(suite)
	message := sprintf("security profile \"%s\" offers %s \"%s\": %s", [profile.name, weakness.field, suite[weakness.field], weakness.why])
}

# METADATA
# title: Every packet is authenticated
# description: A CBC cipher needs SHA-2 beside it; the GCM ones and ChaCha20-Poly1305 authenticate themselves.
# custom:
#   code: INTENT_CIPHER_UNAUTHENTICATED
#   severity: error
findings contains finding(rego.metadata.rule(), profile_field(profile, part, index, "integrity"), message, "add integrity: sha256, or use aes128gcm16") if {
	some profile in input.intent.securityProfiles
	some part in ["ike", "esp"]
	some index, suite in profile[part]
	crypto.is_unauthenticated(suite)
	message := sprintf("security profile \"%s\": %s with integrity \"%s\" lets packets be forged", [profile.name, suite.encryption, suite.integrity])
}

# METADATA
# title: A key exchange has all its parts
# description: An IKE suite needs a PRF and a group; without them nothing can be negotiated.
# custom:
#   code: INTENT_IKE_INCOMPLETE
#   severity: error
findings contains finding(rego.metadata.rule(), profile_field(profile, "ike", index, part), message, "write for example prf: prfsha256 and group: x25519") if {
	some profile in input.intent.securityProfiles
	some index, suite in profile.ike
	some part in ["prf", "group"]
	suite[part] == "none"
	message := sprintf("security profile \"%s\": an ike suite has no %s", [profile.name, part])
}

# METADATA
# title: Perfect forward secrecy
# description: Who steals a key must not be able to read what was recorded before. Each rekey makes a fresh exchange.
# custom:
#   code: INTENT_PFS_REQUIRED
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "SecurityProfile", "name": profile.name, "field": "pfs"}, message, "remove pfs: false") if {
	some profile in input.intent.securityProfiles
	not profile.pfs
	message := sprintf("security profile \"%s\" turns perfect forward secrecy off", [profile.name])
}

# METADATA
# title: Perfect forward secrecy needs a group
# description: An ESP suite without a group uses the keys of the IKE exchange again.
# custom:
#   code: INTENT_PFS_REQUIRED
#   severity: error
findings contains finding(rego.metadata.rule(), profile_field(profile, "esp", index, "group"), message, "write a group, for example group: x25519") if {
	some profile in input.intent.securityProfiles
	some index, suite in profile.esp
	suite.group == "none"
	message := sprintf("security profile \"%s\": an esp suite has no group, so it has no perfect forward secrecy", [profile.name])
}

# METADATA
# title: A level is earned
# description: Level 2 means authenticated encryption and groups of 128 bits of strength; level 3 means 256-bit ciphers and 192-bit groups.
# custom:
#   code: INTENT_LEVEL_OVERSTATED
#   severity: error
findings contains finding(rego.metadata.rule(), profile_field(profile, part, index, field), message, sprintf("use %s, or a lower level", [concat(" or ", sort(allowed))])) if {
	some profile in input.intent.securityProfiles
	some part in ["ike", "esp"]
	some index, suite in profile[part]
	some field, allowed in level_minimum[profile.level]
	not suite[field] in allowed
	not suite[field] == "none"
	message := sprintf("security profile \"%s\" claims level %d with %s \"%s\"", [profile.name, profile.level, field, suite[field]])
}

# METADATA
# title: No promise of post-quantum protection that nothing keeps
# description: Agents know a pre-shared key (ppk, RFC 8784) and ML-KEM (RFC 9370); with anything else tunnels could not come up.
# custom:
#   code: INTENT_POST_QUANTUM_UNAVAILABLE
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "SecurityProfile", "name": profile.name, "field": "postQuantum"}, message, "write postQuantum: ppk, mlkem, mlkem-preferred or off") if {
	some profile in input.intent.securityProfiles
	not profile.postQuantum in {"off", "ppk", "mlkem", "mlkem-preferred"}
	message := sprintf("security profile \"%s\" asks for postQuantum \"%s\", which agents of this version cannot negotiate", [profile.name, profile.postQuantum])
}

# METADATA
# title: Keys are renewed in time
# description: Too rarely and a lost key opens hours of traffic; too often and gateways do nothing else.
# custom:
#   code: INTENT_REKEY_BOUNDS
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "SecurityProfile", "name": profile.name, "field": field}, message, "ikeRekey: 1m to 24h, espRekey: 1m to 8h") if {
	some profile in input.intent.securityProfiles
	some field, most in {"ikeRekeyMs": ike_rekey_max_ms, "espRekeyMs": esp_rekey_max_ms}
	not is_within(profile[field], rekey_min_ms, most)
	message := sprintf("security profile \"%s\" renews keys every %v s", [profile.name, profile[field] / 1000])
}

# METADATA
# title: No network of the size of the internet
# description: A site that claims more than a /8 would draw traffic that is not its own.
# custom:
#   code: INTENT_PREFIX_WIDE
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "Site", "name": site.id, "field": "prefixes"}, message, "name the networks that the site really has") if {
	some site in input.intent.sites
	some prefix in site.prefixes
	to_number(split(prefix, "/")[1]) < prefix_length_min
	message := sprintf("site \"%s\" claims %s", [site.id, prefix])
}

# METADATA
# title: The tunnels' own addresses are protected too
# description: Probes and relayed packets use overlay addresses; without protection they could leave in clear text.
# custom:
#   code: INTENT_OVERLAY_UNPROTECTED
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "Mesh", "name": input.intent.mesh.name, "field": "protectedPrefixes"}, message, sprintf("add %s to protectedPrefixes", [input.intent.mesh.overlayPrefix])) if {
	not overlay_protected
	message := sprintf("overlayPrefix %s is not among protectedPrefixes", [input.intent.mesh.overlayPrefix])
}

overlay_protected if {
	some prefix in input.intent.mesh.protectedPrefixes
	net.cidr_contains(prefix, input.intent.mesh.overlayPrefix)
}

# METADATA
# title: Large changes are seen by a person
# description: With a share this high nothing would ever be asked.
# custom:
#   code: INTENT_AUTO_APPLY_WIDE
#   severity: warning
findings contains finding(rego.metadata.rule(), {"kind": "Mesh", "name": input.intent.mesh.name, "field": "autoApply.trafficShareMax"}, message, sprintf("write at most %v%%", [auto_apply_share_max * 100])) if {
	input.intent.mesh.autoApply.trafficShareMax > auto_apply_share_max
	message := sprintf("up to %v %% of all traffic may be re-routed without a person", [input.intent.mesh.autoApply.trafficShareMax * 100])
}

# METADATA
# title: One uplink is no backup
# description: Classes with protection get no second path at a site whose active node has a single uplink.
# custom:
#   code: INTENT_UPLINK_SINGLE
#   severity: info
findings contains finding(rego.metadata.rule(), {"kind": "Site", "name": site.id, "field": "nodes"}, message, "add an uplink of another provider") if {
	some class in input.intent.classes
	class.protection != "none"
	some site in input.intent.sites
	every node in site.nodes {
		count(node.uplinks) < 2
	}
	message := sprintf("site \"%s\" has a single uplink, so no disjoint backup", [site.id])
}

profile_field(profile, part, index, field) := {
	"kind": "SecurityProfile",
	"name": profile.name,
	"field": sprintf("%s[%d].%s", [part, index, field]),
}

is_within(value, least, most) if {
	value >= least
	value <= most
}

finding(metadata, object, message, fix) := {
	"code": metadata.custom.code,
	"severity": metadata.custom.severity,
	"message": message,
	"object": object,
	"fix": fix,
}

# The input's shape; anything missing denies before a rule is asked.
problems := union({
	shape.object_problems("input", input, {"intent": {"object"}, "now": {"number"}}),
	shape.object_problems("intent.mesh", shape.at(["intent", "mesh"]), mesh_fields),
	shape.object_problems("intent.mesh.autoApply", shape.at(["intent", "mesh", "autoApply"]), {"trafficShareMax": {"number"}}),
	shape.list_problems("intent.sites", shape.at(["intent", "sites"]), {"id": {"string"}, "prefixes": {"array"}, "nodes": {"array"}}),
	shape.list_problems("intent.classes", shape.at(["intent", "classes"]), {"id": {"string"}, "protection": {"string"}}),
	shape.list_problems("intent.securityProfiles", shape.at(["intent", "securityProfiles"]), profile_fields),
	node_problems,
	suite_problems,
	prefix_problems,
})

mesh_fields := {"name": {"string"}, "overlayPrefix": {"string"}, "protectedPrefixes": {"array"}, "autoApply": {"object"}}

profile_fields := {
	"name": {"string"},
	"level": {"number"},
	"ike": {"array"},
	"esp": {"array"},
	"ikeRekeyMs": {"number"},
	"espRekeyMs": {"number"},
	"pfs": {"boolean"},
	"postQuantum": {"string"},
}

suite_fields := {"encryption": {"string"}, "integrity": {"string"}, "prf": {"string"}, "group": {"string"}}

suite_problems contains problem if {
	some profile in shape.at(["intent", "securityProfiles"])
	some part in ["ike", "esp"]
	some problem in shape.list_problems(part, profile[part], suite_fields)
}

prefix_problems contains sprintf("intent.sites[%d].prefixes", [index]) if {
	some index, site in shape.at(["intent", "sites"])
	some prefix in site.prefixes
	not regex.match(`^[0-9a-f:.]+/[0-9]+$`, prefix)
}

node_problems contains sprintf("intent.sites[%d].nodes", [index]) if {
	some index, site in shape.at(["intent", "sites"])
	some node in site.nodes
	count(shape.bad_fields(node, {"uplinks": {"array"}})) > 0
}
