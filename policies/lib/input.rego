# METADATA
# title: Shape of an input
# description: >-
#   Rego stays silent on a field that is not there, and silence reads as consent. So every question has its input
#   checked here, before any rule runs. `fields` maps a field to the set of types it may have.
package foremesh.lib.input

# Never the type of a value that came as JSON, so a missing field fits no set of types.
missing := {"missing"}

# The fields of one object that are missing or of another type, each with where it was looked for.
object_problems(at, value, fields) := {concat(".", [at, field]) | some field in bad_fields(value, fields)}

# The same for every object of a list.
list_problems(at, value, fields) := {sprintf("%s[%d].%s", [at, index, field]) |
	some index, item in value
	some field in bad_fields(item, fields)
} if {
	is_array(value)
}

list_problems(at, value, _) := {concat(" ", [at, "is not a list"])} if not is_array(value)

# The value at a path of the input, or something that fits no type.
at(path) := object.get(input, path, missing) if is_object(input)

at(_) := missing if not is_object(input)

bad_fields(value, fields) := {field |
	some field, types in fields
	not type_name(object.get(value, field, missing)) in types
} if {
	is_object(value)
}

bad_fields(value, _) := {"(not an object)"} if not is_object(value)

# The verdict on an input that no rule can judge.
refusal(problems, rules_run) := {
	"decision": "deny",
	"reasons": [{
		"code": "POLICY_INPUT_INVALID",
		"severity": "error",
		"message": sprintf("input invalid: %s", [concat(", ", array.slice(sort(problems), 0, 20))]),
		"object": {"kind": "Input", "name": "input"},
		"fix": "this is a fault of Foremesh or of a version that does not fit the policies; report it",
	}],
	"rulesRun": rules_run,
}
