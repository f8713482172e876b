"""Every error has its answer: one status, one code, one safe line."""

import inspect

import pytest

import images.errors
import runners.errors
import store.errors
from api import errors
from api.errors import Problem, problem_of


def classes(module: object, base: type[Exception]) -> list[type[Exception]]:
    found = [one for _, one in inspect.getmembers(module, inspect.isclass)]
    return [one for one in found if issubclass(one, base)]


OURS = [
    errors.ModelUnavailableError,
    errors.DeadlineError,
    *classes(store.errors, store.errors.StoreFault),
]
THEIRS = [
    *(one for one in classes(errors, errors.RequestError)),
    *classes(images.errors, images.errors.ImageError),
    *(one for one in classes(store.errors, store.errors.StoreError) if one not in OURS),
]


def made(one: type[Exception]) -> Exception:
    """An instance, whatever its constructor takes."""
    error = one.__new__(one)
    Exception.__init__(error, "a line for the client")
    return error


@pytest.mark.parametrize("one", OURS)
def test_what_is_not_the_clients_fault(one: type[Exception]) -> None:
    problem = problem_of(made(one))
    assert (problem.status, problem.ours) == (400, True)


@pytest.mark.parametrize("one", THEIRS)
def test_what_is(one: type[Exception]) -> None:
    problem = problem_of(made(one))
    assert problem.ours is False
    assert problem.status in {400, 401, 403, 404, 413, 415, 421}
    assert problem.message == "a line for the client"
    assert problem.code == one.code  # type: ignore[attr-defined]


def test_nothing_internal_leaves() -> None:
    for error in (
        RuntimeError("/srv/secret"),
        OSError("/srv/secret"),
        runners.errors.WeightsError("/srv"),
    ):
        problem = problem_of(error)
        assert "srv" not in problem.message
        assert (problem.status, problem.ours) == (400, True)


def test_a_deadline_says_so() -> None:
    assert problem_of(TimeoutError()).code == "deadline"


def test_fixed_answers_hold_nothing_else() -> None:
    missing = problem_of(errors.MissingUrlError("No url provided"))
    assert missing.document() == {"message": "No url provided"}
    assert Problem(400, "c", "m", ours=False).document() == {"message": "m", "code": "c"}
