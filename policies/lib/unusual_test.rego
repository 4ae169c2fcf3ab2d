package foremesh.lib.unusual_test

import data.foremesh.lib.unusual

anomaly(kind, from, to) := {"kind": kind, "from": from, "to": to, "severity": "high", "words": "x"}

test_traffic_of_the_pair_in_either_direction if {
	every kind in ["surge", "new-pair"] {
		unusual.asks_for(anomaly(kind, "a", "b"), "a>b")
		unusual.asks_for(anomaly(kind, "b", "a"), "a>b")
		not unusual.asks_for(anomaly(kind, "a", "c"), "a>b")
		not unusual.asks_for(anomaly(kind, "a", null), "a>b")
	}
}

test_whoever_talks_to_many_asks_for_all_of_its_pairs if {
	unusual.asks_for(anomaly("fan-out", "b", null), "a>b")
	not unusual.asks_for(anomaly("fan-out", "c", null), "a>b")
}

test_a_drop_asks_for_nothing if not unusual.asks_for(anomaly("drop", "a", "b"), "a>b")
