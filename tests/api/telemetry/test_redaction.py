"""What the log may hold: no secrets, nothing that steers a terminal, no endless lines."""

import time

import pytest

from api.telemetry.logs import MOST_CHARS, Redaction

KEY = "correct-horse-battery"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://h/a.jpg", "http://h/a.jpg"),
        ("'https://h/a.jpg?sig=S&x=1#f' failed", "'https://h/a.jpg?*** failed"),
        ("https://h/a.jpg?q='S'&r=\"S\")", "https://h/a.jpg?***"),
        ("url: /a.jpg?X-Amz-Signature=S (Caused by x)", "url: /a.jpg?*** (Caused by x)"),
        ("https://h/a.jpg#token=S", "https://h/a.jpg#***"),
        ("see http://user:S@h:8080/a and b@c", "see http://***@h:8080/a and b@c"),
        ("http://user:S@h/a?b http://c@d/#e", "http://***@h/a?*** http://***@d/#***"),
        ("Authorization: Bearer S, basic UzpT", "Authorization: Bearer *** basic ***"),
        (f"the key {KEY}!", "the key ***!"),
        ("torn, by a power cut?: set aside", "torn, by a power cut?*** set aside"),
        ("what? nothing", "what? nothing"),
    ],
)
def test_secrets_are_cut_out(text: str, shown: str) -> None:
    assert Redaction([KEY]).without_secrets(text) == shown


def test_a_key_is_found_before_a_shorter_one_that_begins_it() -> None:
    assert Redaction(["abcdef", "abcdef-more"]).without_secrets("abcdef-more") == "***"


def test_keys_that_come_later_are_cut_out_and_old_ones_still() -> None:
    redaction = Redaction([KEY])
    redaction.hide(["another-horse"])
    redaction.hide([])
    assert redaction.without_secrets(f"{KEY} and another-horse") == "*** and ***"


def test_keys_that_are_words_do_not_eat_the_log() -> None:
    assert Redaction(["in"]).without_secrets("written in time") == "written in time"


@pytest.mark.parametrize(
    "text", ["\x1b[31m", "\r", "\x00", "\x85", "\u2028", "\u202e", "\ud800", "\x7f", "\x9b"]
)
def test_what_is_not_printable_is_spelt_out(text: str) -> None:
    (line,) = Redaction().lines(f"a{text}b")
    assert line == f"a\\u{ord(text[0]):04x}{text[1:]}b"


def test_other_writing_stays_as_it_is() -> None:
    assert Redaction().lines("größe 图 \N{SMILING FACE WITH OPEN MOUTH}\nb") == [
        "größe 图 \N{SMILING FACE WITH OPEN MOUTH}",
        "b",
    ]


def test_a_long_text_loses_its_middle() -> None:
    (line,) = Redaction().lines("a" + "x" * 10 * MOST_CHARS + "b")
    assert len(line) < MOST_CHARS + 10
    assert (line[0], line[-1]) == ("a", "b")


def test_cleaning_takes_time_in_proportion() -> None:
    """A server that sends this in place of an answer is quoted in the log."""
    before = time.perf_counter()
    Redaction().lines("://" * 200_000)
    Redaction().lines("#?@:" * 100_000)
    assert time.perf_counter() - before < 5  # it was minutes
