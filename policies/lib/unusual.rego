# METADATA
# title: Traffic that is not what was to be expected
# description: >-
#   Rules get what goes on as a list `anomalies`: kind (surge, drop, new-pair, fan-out), from, to and classId (null where
#   it is not one pair's or class's), severity (low, medium, high), score, startAt, expectedMbps, seenMbps, words.
package foremesh.lib.unusual

# What rules read of an anomaly.
fields := {
	"kind": {"string"},
	"from": {"string"},
	"to": {"string", "null"},
	"severity": {"string"},
	"words": {"string"},
}

# True when the anomaly is traffic that would make a planner want more for `pair`, the lesser site first.
asks_for(anomaly, pair) if {
	anomaly.kind in {"surge", "new-pair"}
	anomaly.to != null
	some name in [concat(">", [anomaly.from, anomaly.to]), concat(">", [anomaly.to, anomaly.from])]
	name == pair
}

asks_for(anomaly, pair) if {
	anomaly.kind == "fan-out"
	anomaly.from in split(pair, ">")
}
