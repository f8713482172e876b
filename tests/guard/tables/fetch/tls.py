"""TLS: certificates are checked, for the name that was asked for. The stage trusts `pictures.test`."""

from tests.guard.case import (
    BAD_ANSWER,
    FETCHED,
    TOO_SLOW,
    UNREACHABLE,
    Case,
    Expected,
    asked,
    only_in_box,
    refusal,
)
from tests.guard.oracle.names import Name, gives
from tests.guard.stage.site import redirect

NOT_TRUSTED = refusal("tls_failed", says="could not fetch the image: no secure connection")


def secure(title: str, host: str, name: Name, expected: Expected) -> Case:
    return Case(title, expected, url=f"https://{host}/", names={host: name})


CASES = only_in_box(
    [
        secure("the right name", "pictures.test", gives("9.9.9.1"), FETCHED),
        secure("another name", "others.test", gives("9.9.9.2"), NOT_TRUSTED),
        secure("a name below it", "a.pictures.test", gives("9.9.9.3"), NOT_TRUSTED),
        asked("https://8.8.8.8/", NOT_TRUSTED),
        asked("https://[2606:4700::1111]/", NOT_TRUSTED),
        asked("https://{site}/", TOO_SLOW, "TLS to a port that waits for plain HTTP"),
        asked("http://8.8.8.8:443/", BAD_ANSWER, "plain to a TLS port"),
        asked("https://127.0.0.2/", UNREACHABLE),
        asked("https://[::ffff:169.254.169.254]/", UNREACHABLE),
        asked("https://8.8.8.8:22/", UNREACHABLE),
        Case(
            "from plain to the right name",
            FETCHED,
            url="http://{site}{path}",
            answer=redirect("https://pictures.test/"),
            names={"pictures.test": gives("9.9.9.1")},
        ),
        Case(
            "from plain to another name",
            NOT_TRUSTED,
            url="http://{site}{path}",
            answer=redirect("https://8.8.8.8/"),
        ),
    ]
)
