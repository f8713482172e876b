"""Conditions on the objects in an image, all of which one and the same object fulfils, as SQL.

The engine has no way to say that of a list of structs. So each image has its objects as a text too
(`store.metadata.objects`): an object has its class and its numbers there, with as many digits each,
and what one object fulfils is one regular expression; several that do are as many in a row. The
engine's regular expressions take a time that grows with the text alone. Where a class is named, the
terms of the image narrow by their index what is looked at.

A filter on `$objects` is an object::

    {"class_name": "dog"}                      has a dog; also {"$in": ["dog", "cat"]}
    {"class_name": "dog", "confidence": {"$gte": 0.5}, "area": {"$lt": 0.1}}
                                               has a dog that is as sure and as small
    {"class_name": "dog", "$count": 2}         has two of them; also {"$gte": 2}, {"$ne": 1}, ...

An image that nobody has looked into has none. Null in place of the object says that it is such, or
was looked into with another detector than that of now.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from store.errors import FilterError, shown
from store.metadata.objects import DIGITS, MARKS, NUMBERS, TERMS, Finding, quoted
from store.metadata.predicates import ALWAYS, NEVER
from store.metadata.values import literal, text_in
from store.schemas import MOST_OBJECTS, OBJECTS_KEY

COUNT = "$count"
_A_NUMBER = "a number"
_NEEDS = {
    **dict.fromkeys(("$eq", "$ne", "$lt", "$lte", "$gt", "$gte"), _A_NUMBER),
    **dict.fromkeys(("$in", "$nin"), "a list of numbers"),
    "$exists": "true or false",
    "$not": "operators",
}
_MANY = MOST_OBJECTS + 1
"""Stands for all counts that no image has."""

Ranges = list[tuple[int, int]]
"""Whole numbers from and to, rising, none of which meet."""


def objects_predicate(node: Any, finding: Finding | None) -> str:
    """Compiles what a filter says of objects.

    Args:
        node: the operand of `$objects`.
        finding: whose objects are sought; None where the table knows of no objects at all.

    Returns:
        An SQL predicate that is never NULL.

    Raises:
        FilterError: it is no condition on an object.
    """
    if node is None:
        return ALWAYS if finding is None else finding.not_yet
    classes, numbers, counts = _parsed(node)
    if finding is None:
        return ALWAYS if counts and counts[0][0] == 0 else NEVER
    parts = []
    for least, most in counts:
        some = _at_least(classes, numbers, least)
        too_many = NEVER if most == _MANY else _at_least(classes, numbers, most + 1)
        parts.append(f"({some} AND NOT {too_many})")
    return f"({' OR '.join(parts)})" if parts else NEVER


def object_condition(node: Any) -> str:
    """The same conditions on one object as a predicate on the rows of the table of objects.

    Raises:
        FilterError: it is no condition on an object.
    """
    if isinstance(node, Mapping) and COUNT in node:
        raise FilterError(f"{COUNT} says nothing of one object: it goes with {OBJECTS_KEY}")
    classes, numbers, _ = _parsed(node)
    parts = [] if classes is None else [text_in("class_name", classes)]
    for name, allowed in numbers.items():
        ranges = [
            f"({name} >= {_as_sent(least, name)} AND {name} <= {_as_sent(most, name)})"
            for least, most in allowed
        ]
        parts.append(f"({' OR '.join(ranges)})" if ranges else NEVER)
    return " AND ".join(parts) if parts else ALWAYS


def _as_sent(number: int, name: str) -> str:
    return f"{Decimal(number).scaleb(-DIGITS[name]):f}"


def objects_hold(node: Mapping[str, Any] | None, side: int | None) -> bool:
    """Whether it holds for an image that has no object, or one that the filter does not name.

    Args:
        node: that was compiled.
        side: where the object's numbers are: -1 least, 1 greatest, None for no object.
    """
    if node is None:
        return side is None
    classes, numbers, counts = _parsed(node)
    ends = {name: 0 if side == -1 else 10 ** DIGITS[name] for name in NUMBERS}
    fits = classes is None and all(_among(ends[name], of) for name, of in numbers.items())
    return _among(int(side is not None and fits), counts)


def conditions_in(node: Any) -> int:
    """How many conditions there are."""
    operands = node.values() if isinstance(node, Mapping) else ()
    return 1 + sum(len(each) for each in operands if isinstance(each, Mapping))


def _parsed(node: Any) -> tuple[list[str] | None, dict[str, Ranges], Ranges]:
    """The classes, None for any; the numbers that are allowed, by name; and the counts."""
    if not isinstance(node, Mapping):
        raise FilterError(f'{OBJECTS_KEY} needs an object such as {{"class_name": "dog"}}')
    classes, numbers = None, {}
    counts: Ranges = [(1, _MANY)]
    for name, operand in node.items():
        if name == "class_name":
            classes = _classes(operand)
        elif name == COUNT:
            counts = _ranges(COUNT, operand, 0, _MANY)
        elif name in NUMBERS:
            numbers[name] = _ranges(name, operand, DIGITS[name], 10 ** DIGITS[name])
        else:
            has = ", ".join(("class_name", *NUMBERS))
            raise FilterError(f"an object has no {shown(str(name))}; what it has is {has}")
    return classes, numbers, counts


def _classes(operand: Any) -> list[str]:
    if isinstance(operand, Mapping) and len(operand) == 1 and operand.keys() <= {"$eq", "$in"}:
        [operand] = operand.values()
    names = operand if isinstance(operand, list) else [operand]
    if not names or not all(isinstance(name, str) for name in names):
        raise FilterError('class_name needs the name of a class, or {"$in": [names]}')
    return sorted(set(names))


def _ranges(name: str, operand: Any, digits: int, most: int) -> Ranges:
    """The whole numbers, of so many digits behind the point, that an operand lets through."""
    conditions = operand if isinstance(operand, Mapping) else {"$eq": operand}
    if not conditions:
        raise FilterError(f"the filter on {name} of objects has no operator")
    allowed: Ranges = [(0, most)]
    for operator, value in conditions.items():
        allowed = _both(allowed, _range(name, operator, value, digits, most))
    return allowed


def _range(name: str, operator: Any, value: Any, digits: int, most: int) -> Ranges:
    match operator:
        case "$not" if isinstance(value, Mapping):
            return _others(_ranges(name, value, digits, most), most)
        case "$exists" if isinstance(value, bool):
            return [(0, most)] if value else []
        case "$in" | "$nin" if isinstance(value, list):
            found: Ranges = sorted(
                {one for each in value for one in _range(name, "$eq", each, digits, most)}
            )
            return found if operator == "$in" else _others(found, most)
        case "$ne":
            return _others(_range(name, "$eq", value, digits, most), most)
    if operator not in _NEEDS:
        known = ", ".join(_NEEDS)
        raise FilterError(f"unknown operator {shown(str(operator))}; known here are {known}")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if _NEEDS[operator] != _A_NUMBER or not is_number:
        raise FilterError(f"{operator} on {name} of objects needs {_NEEDS[operator]}")
    exact = Decimal(repr(min(max(value, -1), most + 1))) * 10**digits
    least, greatest = 0, most
    match operator:
        case "$eq":
            least, greatest = math.ceil(exact), math.floor(exact)
        case "$gte":
            least = math.ceil(exact)
        case "$gt":
            least = math.floor(exact) + 1
        case "$lte":
            greatest = math.floor(exact)
        case "$lt":
            greatest = math.ceil(exact) - 1
    least, greatest = max(least, 0), min(greatest, most)
    return [(least, greatest)] if least <= greatest else []


def _both(one: Ranges, other: Ranges) -> Ranges:
    pairs = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return sorted((least, most) for least, most in pairs if least <= most)


def _others(ranges: Ranges, most: int) -> Ranges:
    """All whole numbers up to one that are in none of these."""
    left, after = [], 0
    for least, greatest in ranges:
        if after < least:
            left.append((after, least - 1))
        after = max(after, greatest + 1)
    return [*left, (after, most)] if after <= most else left


def _among(number: int, ranges: Ranges) -> bool:
    return any(least <= number <= most for least, most in ranges)


def _at_least(classes: list[str] | None, numbers: Mapping[str, Ranges], count: int) -> str:
    """That so many objects fulfil all of it."""
    if count == 0:
        return ALWAYS
    if count > MOST_OBJECTS or any(not of for of in numbers.values()):
        return NEVER
    narrow = _has_terms(classes, count) if classes is not None else ALWAYS
    if classes is not None and len(classes) == 1 and not numbers:
        return f"({TERMS} IS NOT NULL AND {narrow})"
    one = _object_pattern(classes, numbers)
    pattern = literal(f"(?:{one}[ -~]*){{{count}}}" if count > 1 else one)
    matches = f"{MARKS} IS NOT NULL AND regexp_like({MARKS}, {pattern})"
    return (
        f"({matches})" if narrow == ALWAYS else f"({TERMS} IS NOT NULL AND {narrow} AND {matches})"
    )


def _has_terms(classes: Sequence[str], count: int) -> str:
    """What has so many of the one class, or any of several."""
    number = count if len(classes) == 1 else 1
    has = [f"array_has({TERMS}, {literal(f'{name}:{number}')})" for name in classes]
    return has[0] if len(has) == 1 else f"({' OR '.join(has)})"


def _object_pattern(classes: Sequence[str] | None, numbers: Mapping[str, Ranges]) -> str:
    names = "[^;]*" if classes is None else _either([quoted(each) for each in classes])
    fields = [_number_pattern(name, numbers.get(name)) for name in NUMBERS]
    return rf"\|{names};" + "".join(f"{field};" for field in fields)


def _number_pattern(name: str, allowed: Ranges | None) -> str:
    width = DIGITS[name] + 1
    if allowed is None:
        return f"[0-9]{{{width}}}"
    return _either(
        [
            part
            for least, most in allowed
            for part in _digits(f"{least:0{width}}", f"{most:0{width}}")
        ]
    )


def _digits(least: str, most: str) -> list[str]:
    """Patterns of the numbers from one to another, of as many digits."""
    if not least:
        return [""]
    rest = len(least) - 1
    if set(least) == {"0"} and set(most) == {"9"}:
        return [f"[0-9]{{{len(least)}}}"]
    first, last = least[0], most[0]
    if first == last:
        return [first + each for each in _digits(least[1:], most[1:])]
    parts = [first + each for each in _digits(least[1:], "9" * rest)]
    if (between := int(last) - int(first)) > 1:
        digits = f"[{int(first) + 1}-{int(last) - 1}]" if between > 2 else f"{int(first) + 1}"
        parts.append(digits + (f"[0-9]{{{rest}}}" if rest else ""))
    return parts + [last + each for each in _digits("0" * rest, most[1:])]


def _either(parts: Sequence[str]) -> str:
    escaped = [part.replace(".", r"\.") for part in parts]
    return escaped[0] if len(escaped) == 1 else f"(?:{'|'.join(escaped)})"
