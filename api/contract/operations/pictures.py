"""Operations that take a picture: adding, searching, detecting."""

from api.access.caller import Scope
from api.contract.operations.operation import ID, METADATA, URL, Operation
from api.contract.requests.add import AddManyRequest, AddRequest
from api.contract.requests.detect import DetectRequest
from api.contract.requests.search import SearchRequest
from api.contract.responses.add import AddAnswer, AddManyAnswer
from api.contract.responses.objects import MORE_HEADER
from api.contract.responses.search import SearchAnswer

_ADDED = {"url": URL, "id": ID, "created": True}
_NOT_ADDED = {"url": "x", "message": "the URL has no host", "code": "invalid_url"}


def _search(path: str) -> Operation:
    terms = [{"text": "a shoe"}, {"id": ID, "weight": 0.5}, {"text": "red", "weight": -0.3}]
    return Operation(
        "post",
        path,
        Scope.READ,
        SearchRequest,
        SearchAnswer,
        "What was found, best first",
        {"results": [{"id": ID, "url": URL, "score": 0.93, "metadata": METADATA}]},
        "unknown metadata key 'shpo'; known keys are 'price', 'shop'",
        {
            "picture": {"url": URL, "limit": 3},
            "picture and filter": {"url": URL, "metadata": {"shop": "A"}},
            "filter": {"metadata": {"price": {"$lt": 10}}},
            "text": {"metadata": "a red shoe"},
            "indexed image": {"id": ID, "cutoff": "auto"},
            "weighted terms": {"query": terms},
        },
    )


OF_PICTURES = (
    Operation(
        "post",
        "/post_image_to_index",
        Scope.WRITE,
        AddRequest,
        AddAnswer,
        "The image is in the index, durably",
        {"message": "success", "id": ID, "created": True},
        "No url provided",
        {
            "object": {"url": URL, "metadata": METADATA},
            "text": {"url": URL, "metadata": "a red running shoe"},
            "id of its own": {"url": URL, "id": "shop-A:1234"},
        },
    ),
    Operation(
        "post",
        "/post_images_to_index",
        Scope.WRITE,
        AddManyRequest,
        AddManyAnswer,
        "A result for each image, in their order",
        {"results": [_ADDED, _NOT_ADDED]},
        "images must have at most 256 items, not 300",
        {"two": {"images": [{"url": URL, "metadata": METADATA}, {"url": "x"}]}},
    ),
    _search("/search_simmilar_images"),
    _search("/search_similar_images"),
    Operation(
        "post",
        "/run_object_detection",
        Scope.READ,
        DetectRequest,
        None,
        'The picture with the objects drawn in; the objects as JSON with "json". Where there are'
        f" more, the picture has a header `{MORE_HEADER}: true`",
        error="url not provided error",
        examples={
            "picture": {"url": URL},
            "of some classes": {"url": URL, "classes": ["dog"], "max_detections": 5},
        },
        types=("image/jpg",),
    ),
)
