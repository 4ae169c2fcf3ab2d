package foremesh.lib.input_test

import data.foremesh.lib.input as shape

fields := {"name": {"string"}, "until": {"number", "null"}}

test_object_that_fits if shape.object_problems("a", {"name": "x", "until": null}, fields) == set()

test_missing_field_is_a_problem_even_where_null_is_allowed if shape.object_problems("a", {"name": "x"}, fields) == {"a.until"}

test_wrong_type if shape.object_problems("a", {"name": 1, "until": 2}, fields) == {"a.name"}

test_no_object if shape.object_problems("a", 5, fields) == {"a.(not an object)"}

test_no_list if shape.list_problems("a", {}, fields) == {"a is not a list"}

test_items_are_named if shape.list_problems("a", [{"name": "x", "until": 1}, {"name": "y"}], fields) == {"a[1].until"}

test_path_that_is_not_there if shape.at(["x", "y"]) == shape.missing with input as {"x": {}}

test_input_that_is_no_object if shape.at(["x"]) == shape.missing with input as 7
