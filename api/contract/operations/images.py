"""Operations on images of the index: listed, looked at, changed, deleted."""

from api.access.caller import Scope
from api.contract.operations.operation import ID, STORED, URL, Operation, get
from api.contract.requests.images import (
    DeleteManyRequest,
    ImageRequest,
    ListRequest,
    PatchRequest,
    UpdateManyRequest,
)
from api.contract.responses.images import DeleteAnswer, ListAnswer, StoredAnswer, UpdateAnswer
from api.contract.responses.objects import ObjectsAnswer
from images.decode.structure import MEDIA_TYPES

_OBJECT = {
    "n": 0,
    "class_name": "dog",
    "confidence": 0.94,
    "xyxy": [12.5, 40.0, 310.25, 460.0],
}
_OBJECTS = {"objects": [_OBJECT], "detected": True, "left_out": 0, "width": 640, "height": 480}

OF_IMAGES = (
    get(
        "/images",
        Scope.READ,
        ListRequest,
        ListAnswer,
        "Some images, and how many there are in all",
        "The images of the index, or those of a url, newest first.",
        example={"images": [STORED], "total": 1200},
        error="limit must be an integer",
    ),
    get(
        "/images/{id}",
        Scope.READ,
        ImageRequest,
        StoredAnswer,
        "The image",
        "One image of the index.",
        example=STORED,
    ),
    get(
        "/images/{id}/objects",
        Scope.READ,
        ImageRequest,
        ObjectsAnswer,
        "The objects of the image",
        "The objects of one image, where the service indexes them.",
        example=_OBJECTS,
        error="this service indexes no objects: it is started with IMAGE_SEARCH_OBJECTS=on",
    ),
    Operation(
        "post",
        "/images/{id}/objects",
        Scope.WRITE,
        ImageRequest,
        ObjectsAnswer,
        "The objects that were found and are indexed",
        _OBJECTS,
        "the picture of this image is not kept: add it again",
        {"nothing": {}},
        "Look for the objects in an indexed image, again or for the first time.",
    ),
    Operation(
        "patch",
        "/images/{id}",
        Scope.WRITE,
        PatchRequest,
        StoredAnswer,
        "The image as it now is",
        STORED,
        "metadata key 'price' holds a float, not a string",
        {
            "change one key, remove another": {"metadata": {"price": 7.5, "shop": None}},
            "remove all": {"metadata": None},
        },
        "Change the metadata of an image by JSON Merge Patch (RFC 7396). Its picture and its date"
        " stay.",
    ),
    Operation(
        "delete",
        "/images/{id}",
        Scope.WRITE,
        ImageRequest,
        DeleteAnswer,
        "It is deleted",
        {"message": "success", "deleted": 1},
        description="Delete an image from the index.",
    ),
    get(
        "/images/{id}/thumbnail",
        Scope.READ,
        ImageRequest,
        None,
        "A small copy of the picture",
        "A small copy of an image's picture, upright, to show in a grid.",
        types=("image/jpeg",),
    ),
    get(
        "/images/{id}/image",
        Scope.READ,
        ImageRequest,
        None,
        "The picture's file",
        "An image's own file as it was uploaded, where it is kept.",
        types=MEDIA_TYPES,
    ),
    Operation(
        "post",
        "/delete_images",
        Scope.WRITE,
        DeleteManyRequest,
        DeleteAnswer,
        "How many were deleted; ids that there are not do no harm",
        {"message": "success", "deleted": 3},
        'give one of ids, urls, metadata (a filter) and "all": true',
        {
            "by id": {"ids": [ID]},
            "by url": {"urls": [URL]},
            "by filter": {"metadata": {"price": {"$gt": 100}}},
            "all": {"all": True},
        },
    ),
    Operation(
        "post",
        "/update_images",
        Scope.ADMIN,
        UpdateManyRequest,
        UpdateAnswer,
        "How many were changed",
        {"updated": 812},
        'give one of metadata (a filter) and "all": true',
        {
            "by filter": {"metadata": {"shop": "A"}, "set": {"sale": True, "price": None}},
            "all": {"all": True, "set": {"checked": False}},
        },
    ),
)
