"""The two formats of the log, and that no process writes in another one."""

import json
import logging
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest

from api.telemetry.logs import ACCESS_LOGGER, REQUEST_ID, JsonLines, Redaction, TextLines

FORGED = "x\n2026-01-01T00:00:00+0000 [INFO] [] forged"


def record(message: str, *args: object, name: str = "bentoml.x", **more: Any) -> logging.LogRecord:
    more = {"exc_info": None, **more}
    logger = logging.getLogger(name)
    return logger.makeRecord(name, logging.WARNING, "file.py", 1, message, args, **more)


def as_json(one: logging.LogRecord, request_id: str = "r1") -> dict[str, Any]:
    line = _formatted(JsonLines(Redaction()), one, request_id)
    assert "\n" not in line
    fields: dict[str, Any] = json.loads(line)
    return fields


def as_text(one: logging.LogRecord, request_id: str = "r1") -> str:
    return _formatted(TextLines(Redaction()), one, request_id)


def _formatted(lines: logging.Formatter, one: logging.LogRecord, request_id: str) -> str:
    token = REQUEST_ID.set(request_id)
    try:
        return lines.format(one)
    finally:
        REQUEST_ID.reset(token)


def fail(text: str) -> None:
    raise ValueError(text)


def raised(text: str) -> Any:
    try:
        fail(text)
    except ValueError:
        return sys.exc_info()


def access(*, path: str = "/images/{id}", kind: str = "application/json") -> logging.LogRecord:
    """As BentoML makes them."""
    request = f"scheme=http,method=GET,path={path},type={kind},length=3"
    answer = "status=400,type=application/json,length=76"
    form = "%s (%s) (%s) %.3fms"
    return record(form, "10.0.0.1:5", request, answer, 12.3456, name=ACCESS_LOGGER)


def test_json_has_the_fields_that_are_known() -> None:
    fields = as_json(record("a %s", "b", extra={"operation": "search", "code": "deadline"}))
    moment = datetime.fromisoformat(fields.pop("timestamp"))
    assert moment.utcoffset() is not None
    assert fields == {
        "level": "warning",
        "logger": "bentoml.x",
        "message": "a b",
        "request_id": "r1",
        "operation": "search",
        "code": "deadline",
    }


def test_json_tells_requests_by_field() -> None:
    fields = as_json(access())
    assert fields["message"] == "GET /images/{id} 400"
    wanted = {"client": "10.0.0.1:5", "method": "GET", "route": "/images/{id}", "status": 400}
    assert {name: fields[name] for name in wanted} == wanted
    assert fields["duration_ms"] == pytest.approx(12.346)


def test_a_clients_content_type_forges_no_field() -> None:
    fields = as_json(access(path="/a", kind="x,path=/forged,status=200,method=PUT"))
    assert (fields["route"], fields["status"], fields["method"]) == ("/a", 400, "GET")


@pytest.mark.parametrize("request_id", ["", "r1"])
def test_the_requests_id_stands_in_both(request_id: str) -> None:
    assert ("request_id" in as_json(record("a"), request_id)) == bool(request_id)
    assert ("(request=r1)" in as_text(record("a"), request_id)) == bool(request_id)


def test_a_message_forges_no_line() -> None:
    first, *rest = as_text(record("%s", FORGED)).split("\n")
    assert first.endswith("x (request=r1)")
    assert rest == ["    | 2026-01-01T00:00:00+0000 [INFO] [] forged"]
    assert as_json(record("%s", FORGED))["message"] == FORGED


def test_a_trace_forges_no_line_and_holds_no_secret() -> None:
    one = record("a", exc_info=raised(f"http://h/?S1 {FORGED}"))
    text = as_text(one)
    assert all(line.startswith("    | ") for line in text.split("\n")[1:])
    fields = as_json(one)
    assert fields["message"] == "a"
    assert fields["exception"].startswith("Traceback")
    for shown in (text, fields["exception"]):
        assert "ValueError: http://h/?***" in shown
        assert "S1" not in shown


ENDS = """
import logging, sys, threading, warnings
from bentoml._internal.log import configure_server_logging
configure_server_logging()
from api.telemetry.log_setup import configure_logs
configure_logs(sys.argv[1], ["the-secret-key"])
warnings.warn("beware\\nof the-secret-key")
logging.getLogger("store.x").error("a")
logging.getLogger("uvicorn.error").error("b")
def fail(): raise ValueError("https://h/a?the-secret")
one = threading.Thread(target=fail)
one.start(), one.join()
fail()
"""


@pytest.mark.parametrize("format", ["json", "text"])
def test_warnings_and_what_ends_a_thread_or_a_process_are_logged_too(format: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDS, format], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr == ""
    assert "the-secret" not in ended.stdout
    lines = [line for line in ended.stdout.splitlines() if not line.startswith("    | ")]
    assert len(lines) == 5  # each once, also where two handlers would have written it
    if format == "json":
        told = [json.loads(line)["message"].split("\n")[0] for line in lines]
        assert told[1:] == ["a", "b", "ended by an error", "ended by an error"]
        assert "UserWarning: beware" in told[0]
