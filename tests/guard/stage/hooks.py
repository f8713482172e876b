"""Hooks of schemathesis: a part of what it makes up is about pictures and images that there are.

Made-up URLs are refused before anything else is looked at. So every other text for a URL becomes
one of the stage's, and every other id one of an indexed image. What is no text stays as it is:
it is there to be refused.
"""

import json
import os
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import schemathesis
from schemathesis import HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure

from api.requests.multipart import FORM_TYPE
from tests.guard.schema import KNOWN

_EACH_ALONE = frozenset({"/post_images_to_index", "/index/import"})
LONGEST_CHARS = 256  # of an id; of a URL it is more, but what breaks that limit is not to be mended
_known: dict[str, list[str]] = json.loads(os.environ[KNOWN])


def _real(text: Any, of: Sequence[str]) -> Any:
    """Which of them is decided by the text itself, so that a failure can be repeated."""
    if not isinstance(text, str) or len(text) > LONGEST_CHARS:
        return text
    digits = sum(text.encode(errors="replace"))
    return of[digits // 2 % len(of)] if digits % 2 else text


def _with_real(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_real(each) for each in value]
    if isinstance(value, dict):
        made = {name: _with_real(each) for name, each in value.items()}
        for name, of in _known.items():
            if name in made:
                made[name] = _real(made[name], of)
        return made
    return value


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Any, response: Response) -> bool:
    """Refusals that schemathesis does not take for one.

    A body that is too large for what the document says can be too large for the service (413). Of
    many images one that does not fit is refused within the answer, and the others are not. And a
    form has nothing but texts: null as metadata is the text "null" there, as good as any, and what
    was left empty is not there.
    """
    if not isinstance(failure, AcceptedNegativeData):
        return True
    if case.media_type == FORM_TYPE and isinstance(case.body, dict):
        metadata = case.body.get("metadata", "")
        if not isinstance(metadata, str | dict):
            return False
        if any(value in ("", []) for value in case.body.values()):
            return False
    if case.operation.path in _EACH_ALONE and response.status_code == HTTPStatus.OK:
        return not any("code" in one for one in response.json()["results"])
    return response.status_code != HTTPStatus.REQUEST_ENTITY_TOO_LARGE


@schemathesis.hook
def map_body(context: HookContext, body: Any) -> Any:
    """Real URLs and ids in a body, at any depth."""
    return _with_real(body)


@schemathesis.hook
def map_path_parameters(context: HookContext, path_parameters: Any) -> Any:
    """Real ids in a path."""
    return _with_real(path_parameters)
