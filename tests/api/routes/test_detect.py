"""Which of the objects that the detector found are answered, and when there may be others."""

import pytest

from api.contract.requests.detect import MAX_DETECTIONS, DetectRequest
from api.errors import UnknownClassError
from api.pipeline.boxes import check_classes
from api.routes.detect import chosen
from images.schemas import LabelledBox


def boxes(*names: str) -> list[LabelledBox]:
    return [LabelledBox((0, 0, 9, 9), 0.9, 0, name) for name in names]


def asked(**fields: object) -> DetectRequest:
    return DetectRequest.checked({"url": "http://x.example/", **fields})


def test_the_surest_of_the_classes() -> None:
    found = boxes("dog", "cat", "dog")
    assert chosen(found, asked()) == (found, False)
    assert chosen(found, asked(classes=["dog"])) == (boxes("dog", "dog"), False)
    assert chosen(found, asked(classes=["dog"], max_detections=1)) == (boxes("dog"), True)
    assert chosen(found, asked(max_detections=3)) == (found, False)


def test_there_may_be_more_where_the_detector_stopped() -> None:
    found = boxes(*["dog"] * (MAX_DETECTIONS - 1), "cat")
    assert chosen(found, asked(classes=["cat"])) == (boxes("cat"), True)
    assert chosen(found[1:], asked(classes=["cat"])) == (boxes("cat"), False)


def test_many_known_classes_are_cut() -> None:
    with pytest.raises(UnknownClassError, match=r"'0', .* '99' and 500 more") as refused:
        check_classes(["dgo"], [str(number) for number in range(600)])
    assert "\n" not in str(refused.value)
