"""The ids of requests whose traces are not exported."""

import asyncio

import pytest
from bentoml._internal.context import trace_context
from opentelemetry import propagate
from starlette.types import Message, Receive, Scope, Send

from api.telemetry.logs import TraceIds, span_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = (b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())


def test_a_callers_trace_is_gone_on_with() -> None:
    ids = span_context([CALLER, (b"tracestate", b"vendor=1")])
    assert f"{ids.trace_id:032x}" == TRACE
    assert f"{ids.span_id:016x}" != SPAN
    assert ids.trace_flags.sampled
    assert ids.trace_state.get("vendor") == "1"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"traceparent", b"")],
        [(b"traceparent", b"\xff\xfe")],
        [(b"traceparent", b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01")],
        [(b"traceparent", b"00-zz-00f067aa0ba902b7-01"), CALLER],
        [(b"tracestate", b"vendor=1")],
    ],
)
def test_else_a_trace_of_its_own_begins(headers: list[tuple[bytes, bytes]]) -> None:
    one, other = span_context(headers), span_context(headers)
    assert one.is_valid
    assert one.trace_id != other.trace_id
    assert f"{one.trace_id:032x}" != TRACE


def test_the_log_and_the_calls_to_the_models_have_the_ids() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        sent: dict[str, str] = {}
        propagate.inject(sent)
        seen.append((f"{trace_context.trace_id:032x}", sent["traceparent"][3:35]))

    async def ask() -> None:
        async def nothing() -> Message:
            return {}

        async def unheard(message: Message) -> None:
            pass

        await TraceIds(app)({"type": "http", "headers": [CALLER]}, nothing, unheard)
        assert not trace_context.trace_id

    seen: list[tuple[str, str]] = []
    asyncio.run(ask())
    assert seen == [(TRACE, TRACE)]
