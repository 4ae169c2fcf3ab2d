# METADATA
# title: What a plan may contain
# description: >-
#   Judges every plan before it is committed. An error that names a tunnel makes the engine plan again without its
#   path; any other error stops the plan. The input is made by planInput (src/policy/inputs.ts): maps by id of tunnels
#   with their ends, nodes, sites and classes; and pairs in use, each with the connection that governs it, the ways its
#   traffic takes in either direction (tunnels and relays) and the classes carried.
package foremesh.plan

import data.foremesh.lib.crypto
import data.foremesh.lib.input as shape
import data.foremesh.lib.unusual

default verdict := {"decision": "deny", "reasons": [], "rulesRun": ["PLAN_INPUT"]}

# METADATA
# entrypoint: true
verdict := shape.refusal(problems, ["PLAN_INPUT"]) if {
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
		"PLAN_ADMISSION_UNFOUNDED",
		"PLAN_AVOIDED",
		"PLAN_BACKUP_MISSING",
		"PLAN_CIPHER_WEAK",
		"PLAN_GROWTH_UNUSUAL",
		"PLAN_INPUT",
		"PLAN_MLKEM_MISSING",
		"PLAN_OVERRIDE_UNBOUNDED",
		"PLAN_PAIR_NOT_ADMITTED",
		"PLAN_RELAY_DENIED",
		"PLAN_RELAY_UNWILLING",
		"PLAN_SECURITY_LEVEL",
		"PLAN_TUNNEL_LIMIT",
		"PLAN_UPLINK_DRAINED",
	}
}

# How long an override may last: a day, and the minute it takes to write it.
override_max_ms := 86460000

# METADATA
# title: Tunnels join only sites that may talk
# description: A tunnel between sites whose connection is `never`, or that no connection names, is refused.
# custom:
#   code: PLAN_PAIR_NOT_ADMITTED
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "Tunnel", "name": tunnel.id}, message, "add a connection for the two sites, or plan without the tunnel") if {
	some tunnel in input.tunnels
	not input.pairs[tunnel.pair].admitted
	message := sprintf("tunnel %s joins %s, which may not talk", [tunnel.path, tunnel.pair])
}

# METADATA
# title: Traffic flows only between sites that may talk
# description: The same for what tunnels carry, relayed traffic included.
# custom:
#   code: PLAN_PAIR_NOT_ADMITTED
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "Pair", "name": name}, message, "add a connection for the two sites, or plan without the traffic") if {
	some name, pair in input.pairs
	count(pair.ways) > 0
	not pair.admitted
	message := sprintf("traffic is planned for %s, which may not talk", [name])
}

# METADATA
# title: Gateways forward only what the intent admits
# description: The plan's list of admitted pairs may not hold one that the intent does not.
# custom:
#   code: PLAN_ADMISSION_UNFOUNDED
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "Pair", "name": pair}, message, "this is a fault of the planner; report it") if {
	some pair in input.admittedUnfounded
	message := sprintf("the plan lets %s talk, the intent does not", [pair])
}

# METADATA
# title: A relay-free path stays relay-free
# description: Where the connection denies relays, no third site carries the traffic, not even as a backup.
# custom:
#   code: PLAN_RELAY_DENIED
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "Pair", "name": name, "field": "relays"}, message, "plan a direct tunnel, or write relays: allow") if {
	some name, pair in input.pairs
	pair.relays == "deny"
	some way in pair.ways
	some relay in way.relays
	message := sprintf("traffic of %s would be relayed by %s", [name, relay])
}

# METADATA
# title: Only sites that offer it relay
# description: A site carries others' traffic only when it says that it relays.
# custom:
#   code: PLAN_RELAY_UNWILLING
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "Site", "name": relay, "field": "relay"}, message, "write relay: true at the site, or plan without it") if {
	some name, pair in input.pairs
	some way in pair.ways
	some relay in way.relays
	not input.sites[relay].relay
	message := sprintf("%s would relay traffic of %s and does not offer to", [relay, name])
}

# METADATA
# title: What a connection avoids is avoided
# description: Regions and providers of sites and relays, providers of uplinks, and single uplinks, on every way of the pair.
# custom:
#   code: PLAN_AVOIDED
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "Tunnel", "name": id}, message, "plan another path, or change avoid at the connection") if {
	some name, pair in input.pairs
	avoids_something(pair.avoid)
	some way in pair.ways
	some id in way.tunnels
	some end in input.tunnels[id].ends
	some thing in avoided(pair.avoid, end)
	message := sprintf("tunnel %s of %s uses %s, which connection \"%s\" avoids", [id, name, thing, pair.connection])
}

avoids_something(avoid) if count(avoid.regions) > 0

avoids_something(avoid) if count(avoid.providers) > 0

avoids_something(avoid) if count(avoid.uplinks) > 0

avoided(avoid, end) := ({sprintf("region %s", [region]) | region := input.sites[end.site].region; region in avoid.regions} | {sprintf("provider %s", [provider]) | some provider in [end.provider, input.sites[end.site].provider]; provider in avoid.providers}) | {sprintf("uplink %s", [uplink]) | uplink := end.uplink; uplink in avoid.uplinks}

# METADATA
# title: Nothing new over an uplink that is being emptied
# description: A drained uplink gets no tunnel that was not there before.
# custom:
#   code: PLAN_UPLINK_DRAINED
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "Tunnel", "name": tunnel.id}, message, "plan another path, or end the drain") if {
	some tunnel in input.tunnels
	tunnel.isNew
	some end in tunnel.ends
	end.drain
	message := sprintf("new tunnel %s uses %s, which is being drained", [tunnel.path, end.uplink])
}

# METADATA
# title: No node holds more tunnels than it can
# description: The limit stands at the node, tunnelsMax.
# custom:
#   code: PLAN_TUNNEL_LIMIT
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "Node", "name": name, "field": "tunnelsMax"}, message, "plan fewer tunnels, or raise tunnelsMax") if {
	some name, node in input.nodes
	node.tunnels > node.tunnelsMax
	message := sprintf("%d tunnels at %s, which holds %d", [node.tunnels, name, node.tunnelsMax])
}

# METADATA
# title: Traffic never uses a weaker tunnel than its connection asks for
# description: Holds for each tunnel of each way, relayed ones and backups included.
# custom:
#   code: PLAN_SECURITY_LEVEL
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "Tunnel", "name": id}, message, "plan a tunnel with the connection's security profile") if {
	some name, pair in input.pairs
	some way in pair.ways
	some id in way.tunnels
	level := input.tunnels[id].securityLevel
	level < pair.securityLevel
	message := sprintf("traffic of %s would use tunnel %s of level %d; its connection asks for %d", [name, id, level, pair.securityLevel])
}

# METADATA
# title: No weak cipher reaches a node
# description: The plan carries the profiles in full, so they are judged here once more.
# custom:
#   code: PLAN_CIPHER_WEAK
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "SecurityProfile", "name": profile.name, "field": sprintf("%s[%d].%s", [part, index, field])}, message, "use aes128gcm16 or aes256gcm16 with prfsha256 and x25519 or ecp384") if {
	some profile in input.securityProfiles
	some part in ["ike", "esp"]
	some index, suite in profile[part]
	some field in weak_fields(suite)
	message := sprintf("security profile \"%s\" offers a weak %s in %s", [profile.name, field, part])
}

weak_fields(suite) := {weakness.field | some weakness in crypto.weaknesses(suite)} | {"integrity" | crypto.is_unauthenticated(suite)}

# METADATA
# title: ML-KEM is asked of daemons that have it
# description: >-
#   A tunnel that may not come up without ML-KEM does not come up at a node whose IKE daemon has none; the tunnel that it
#   replaces stays meanwhile, so this does not stop the plan. A node that has not said what it has is not named.
# custom:
#   code: PLAN_MLKEM_MISSING
#   severity: warning
findings contains finding(rego.metadata.rule(), {"kind": "Tunnel", "name": tunnel.id}, message, "install strongSwan 6 with ML-KEM at the node, or write postQuantum: mlkem-preferred or ppk") if {
	some tunnel in input.tunnels
	tunnel.postQuantum == "mlkem"
	some end in tunnel.ends
	input.nodes[end.node].mlKem == false
	message := sprintf("tunnel %s needs ML-KEM, which the IKE daemon of %s does not have", [tunnel.path, end.node])
}

# METADATA
# title: Growth that rests on unusual traffic is named
# description: >-
#   A new tunnel for a pair whose traffic surges or is new, or of a site that begins to talk to many, may be what an
#   intruder asks for. A wrong alarm must not stop a plan, so this is for the reader; what asks a person is CHANGE_UNUSUAL.
# custom:
#   code: PLAN_GROWTH_UNUSUAL
#   severity: warning
findings contains finding(rego.metadata.rule(), {"kind": "Tunnel", "name": tunnel.id}, message, "see foremesh anomalies; if the traffic is wanted, nothing is to be done") if {
	some tunnel in input.tunnels
	tunnel.isNew
	some anomaly in input.anomalies
	unusual.asks_for(anomaly, tunnel.pair)
	message := sprintf("new tunnel %s: %s", [tunnel.path, anomaly.words])
}

# METADATA
# title: Protected classes have a backup
# description: A class with protection and no backup fails with its path. Often the site has no second path, so this does not stop the plan.
# custom:
#   code: PLAN_BACKUP_MISSING
#   severity: warning
findings contains finding(rego.metadata.rule(), {"kind": "Pair", "name": name}, message, "add an uplink, allow a relay, or write backup: none at the connection") if {
	some name, pair in input.pairs
	pair.backup == "class"
	some class, counted in pair.carried
	counted.routes > 0
	counted.backups == 0
	input.classes[class].protection in {"backup", "duplicate"}
	message := sprintf("%s traffic of %s has no backup", [class, name])
}

# METADATA
# title: An override has a reason, a person and an end
# description: A hand on the wheel is let go after a day at most.
# custom:
#   code: PLAN_OVERRIDE_UNBOUNDED
#   severity: error
findings contains finding(rego.metadata.rule(), {"kind": "Override", "name": override.id, "field": field}, message, "say why and by whom, and end it within 24 hours") if {
	some override in input.overrides
	some field, message in override_faults(override)
}

override_faults(override) := object.union_n([
	{"why": sprintf("override %s gives no reason", [override.id]) | trim_space(override.why) == ""},
	{"by": sprintf("override %s names nobody", [override.id]) | trim_space(override.by) == ""},
	{"until": sprintf("override %s lasts longer than 24 hours", [override.id]) | override.until > input.now + override_max_ms},
])

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
	values_problems("tunnels", tunnel_fields),
	values_problems("nodes", {"site": {"string"}, "tunnels": {"number"}, "tunnelsMax": {"number"}, "mlKem": {"boolean", "null"}}),
	values_problems("sites", {"provider": {"string"}, "region": {"string"}, "relay": {"boolean"}}),
	values_problems("classes", {"protection": {"string"}}),
	values_problems("pairs", pair_fields),
	shape.list_problems("overrides", shape.at(["overrides"]), {"id": {"string"}, "until": {"number"}, "why": {"string"}, "by": {"string"}}),
	shape.list_problems("securityProfiles", shape.at(["securityProfiles"]), {"name": {"string"}, "ike": {"array"}, "esp": {"array"}}),
	shape.list_problems("anomalies", shape.at(["anomalies"]), unusual.fields),
	end_problems,
	way_problems,
	reference_problems,
	suite_problems,
})

input_fields := {
	"now": {"number"},
	"tunnels": {"object"},
	"nodes": {"object"},
	"sites": {"object"},
	"classes": {"object"},
	"pairs": {"object"},
	"overrides": {"array"},
	"anomalies": {"array"},
	"securityProfiles": {"array"},
	"admittedUnfounded": {"array"},
}

tunnel_fields := {
	"id": {"string"},
	"path": {"string"},
	"pair": {"string"},
	"ends": {"array"},
	"securityLevel": {"number"},
	"isNew": {"boolean"},
	"postQuantum": {"string"},
}

pair_fields := {
	"admitted": {"boolean"},
	"connection": {"string", "null"},
	"relays": {"string"},
	"backup": {"string"},
	"securityLevel": {"number"},
	"avoid": {"object"},
	"ways": {"array"},
	"carried": {"object"},
}

values_problems(name, fields) := {sprintf("%s[%s].%s", [name, key, field]) |
	some key, value in shape.at([name])
	some field in shape.bad_fields(value, fields)
}

end_problems contains sprintf("tunnels[%s].ends", [id]) if {
	some id, tunnel in shape.at(["tunnels"])
	some end in tunnel.ends
	count(shape.bad_fields(end, {"site": {"string"}, "uplink": {"string"}, "provider": {"string"}, "drain": {"boolean"}})) > 0
}

end_problems contains sprintf("tunnels[%s].ends", [id]) if {
	some id, tunnel in shape.at(["tunnels"])
	count(tunnel.ends) != 2
}

way_problems contains sprintf("pairs[%s].ways", [name]) if {
	some name, pair in shape.at(["pairs"])
	some way in pair.ways
	count(shape.bad_fields(way, {"tunnels": {"array"}, "relays": {"array"}})) > 0
}

way_problems contains sprintf("pairs[%s].carried", [name]) if {
	some name, pair in shape.at(["pairs"])
	some counted in pair.carried
	count(shape.bad_fields(counted, {"routes": {"number"}, "backups": {"number"}})) > 0
}

# What the rules look up must be there, or they would look past it.
reference_problems contains sprintf("classes[%s]", [class]) if {
	some pair in shape.at(["pairs"])
	some class, _ in pair.carried
	not input.classes[class]
}

reference_problems contains sprintf("tunnels[%s]", [id]) if {
	some pair in shape.at(["pairs"])
	some way in pair.ways
	some id in way.tunnels
	not input.tunnels[id]
}

reference_problems contains sprintf("sites[%s]", [relay]) if {
	some pair in shape.at(["pairs"])
	some way in pair.ways
	some relay in way.relays
	not input.sites[relay]
}

reference_problems contains sprintf("sites[%s]", [end.site]) if {
	some tunnel in shape.at(["tunnels"])
	some end in tunnel.ends
	not input.sites[end.site]
}

reference_problems contains sprintf("pairs[%s]", [tunnel.pair]) if {
	some tunnel in shape.at(["tunnels"])
	not input.pairs[tunnel.pair]
}

reference_problems contains sprintf("pairs[%s].avoid", [name]) if {
	some name, pair in shape.at(["pairs"])
	count(shape.bad_fields(pair.avoid, {"regions": {"array"}, "providers": {"array"}, "uplinks": {"array"}})) > 0
}

suite_problems contains problem if {
	some profile in shape.at(["securityProfiles"])
	some part in ["ike", "esp"]
	some problem in shape.list_problems(sprintf("securityProfiles[%s].%s", [profile.name, part]), profile[part], suite_fields)
}

suite_fields := {"encryption": {"string"}, "integrity": {"string"}, "prf": {"string"}, "group": {"string"}}
