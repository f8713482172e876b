import json

import numpy as np

from demo.quality import Measure, as_json, as_table
from demo.training.retrieval import nearest_has_caption, precisions


def test_precision_counts_the_relevant_among_the_nearest() -> None:
    scores = np.array([[0.9, 0.1, 0.8, 0.2], [0.1, 0.2, 0.3, 0.4]], np.float32)
    relevant = np.array([[True, True, False, False], [False, False, True, True]])
    np.testing.assert_array_equal(precisions(scores, relevant, k=2), [0.5, 1.0])


def test_a_picture_is_not_its_own_neighbour() -> None:
    captions = np.array(["a", "a", "b", "b", "once"])
    scores = np.eye(5, dtype=np.float32)
    scores[0, 1] = scores[1, 0] = scores[2, 3] = 0.5
    scores[3, 4] = scores[4, 3] = 0.5
    assert nearest_has_caption(scores, captions) == 0.75


def test_a_measure_below_what_is_required_is_shown() -> None:
    good = Measure("good", value=0.9, over="10 scenes", required=0.9)
    bad = Measure("bad", value=0.89, over="10 scenes", required=0.9)
    assert good.passed
    assert not bad.passed
    header, good_line, bad_line = as_table([good, bad]).splitlines()
    assert "TOO LOW" not in header + good_line
    assert "TOO LOW" in bad_line
    assert json.loads(as_json([good, bad]))["bad"] == {
        "name": "bad", "value": 0.89, "over": "10 scenes", "required": 0.9, "passed": False,
    }  # fmt: skip
