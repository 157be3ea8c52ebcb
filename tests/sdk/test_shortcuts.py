"""The cheap ways through the hot path give what the general ways give, byte for byte."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import _logs as otel_logs
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
from pydantic import ValidationError
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh
from spanhouse import canonical, content
from spanhouse.audit import quick, registry
from spanhouse.audit.base import AUDIT_EVENTS
from spanhouse.errors import ErrorType
from spanhouse.redaction import cut, mark, redact
from spanhouse.stop_reasons import Outcome

_SCALARS = st.one_of(st.text(max_size=8), st.integers(), st.floats(), st.booleans(), st.none())
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(_VALUES)
def test_plain_values_have_the_canonical_form_that_the_general_way_gives(value: Any) -> None:
    general = json.dumps(
        canonical._plain(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    assert canonical.canonical_json(value) == general


@given(_VALUES)
def test_plain_values_are_shown_as_the_general_way_shows_them(value: Any) -> None:
    if not isinstance(value, str):
        assert content.as_text(value) == json.dumps(content._plain(value), ensure_ascii=False, default=canonical.shown)


@pytest.mark.parametrize("value", [{"n": 10**5000}, [[10**5000]]])
def test_a_number_of_more_digits_than_python_writes_still_has_a_hash(value: Any) -> None:
    assert len(canonical.args_hash(value)) == 16


_FIELD_NAMES = sorted({name for model in AUDIT_EVENTS.values() for name in model.model_fields} | {"own", "status"})
_FIELD_VALUES = st.one_of(
    _SCALARS,
    st.sampled_from([*ErrorType, *Outcome, "ok", "error", "allow", "deny", "open", "closed", "timeout", "finish"]),
    st.lists(st.text(max_size=3), max_size=2),
)


@given(st.sampled_from(sorted(AUDIT_EVENTS)), st.data())
def test_an_event_checked_without_its_model_is_the_one_its_model_makes(name: str, data: st.DataObject) -> None:
    own = sorted(AUDIT_EVENTS[name].model_fields)
    chosen = st.one_of(st.sampled_from(own or ["own"]), st.sampled_from(_FIELD_NAMES))
    fields = data.draw(st.dictionaries(chosen, _FIELD_VALUES, max_size=len(own) + 1))
    found = quick.checked(name, fields)
    if found is None:
        return
    try:
        event = registry.build(name, fields)
    except ValidationError as error:
        pytest.fail(f"taken without its model, which says: {error}")
    expected = event.model_dump(exclude_none=True)
    assert canonical.canonical_json(found[0]) == canonical.canonical_json(expected)
    assert found[1] == event.event_version


def test_the_events_of_ordinary_calls_need_no_model() -> None:
    tool = {"tool": "t", "args_hash": "0" * 16, "status": "ok", "decision": None, "duration_ms": 0.5}
    assert quick.checked("tool.call", tool) == (
        {"tool": "t", "args_hash": "0" * 16, "status": "ok", "duration_ms": 0.5},
        1,
    )
    assert quick.checked("tool.call", {**tool, "error_type": ErrorType.TIMEOUT}) is not None
    assert quick.checked("run.end", {"stop_reason": "finish"}) == (
        {"stop_reason": "finish", "outcome": "unknown", "escalated": False},
        1,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"tool": "t", "args_hash": "0", "status": "great"},
        {"tool": "t"},
        {"tool": 7, "args_hash": "0"},
        {"tool": "t", "args_hash": "0", "attempt": True},
    ],
)
def test_what_a_model_has_to_judge_is_left_to_it(fields: dict[str, Any]) -> None:
    assert quick.checked("tool.call", fields) is None


_PIECES = st.sampled_from(
    [
        *("4111 1111 1111 1111", "4111111111111111", "378282246310005", "3782-822463-10005", "2345", "20261120"),
        *("sk-ant-" + "a1" * 12, "AKIA" + "A" * 16, "password=hunter22", '{"token": "abc12345"}', "Bearer abc.def123="),
        *("order", " ", ",", "key", "shipped", '"', "://u:p@h"),
    ]
)


@given(st.lists(_PIECES, max_size=6).map("".join))
def test_a_text_passed_by_its_looks_is_one_that_no_detector_cuts(text: str) -> None:
    cut_text, kinds = cut(text, mark)
    assert redact(text) == (cut_text, kinds.total())


class _Listener(LogRecordProcessor):
    def __init__(self) -> None:
        self.seen: list[ReadWriteLogRecord] = []

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self.seen.append(log_record)

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the base class's
        return True


def _told(sink: OtlpSink) -> list[tuple[str, Any, dict[str, Any], bool]]:
    changing = {"spanhouse.run_id", "spanhouse.audit.hash", "spanhouse.audit.prev_hash", "spanhouse.audit.body_hash"}
    return [
        (
            log.event_name,
            {key: value for key, value in log.data.items() if key != "duration_ms"},
            {key: "…" if key in changing else value for key, value in log.attributes.items()},
            bool(int(log.trace_id, 16)),
        )
        for log in sink.audit
    ]


def _work() -> None:
    with sh.run("job", agent="a", request_id="r1") as run:
        run.step(1, "tool")
        with sh.tool_call("look_up", {"order": 1}, call_id="c1") as call:
            call.result("found")
        run.event("escalation", reason="asked")


def test_a_listener_on_the_log_provider_gets_every_audit_event_and_the_wire_carries_the_same(
    sink: OtlpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = LoggerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(otel_logs._internal, "_LOGGER_PROVIDER", provider)
    sh.init("shop", url=sink.url)
    _work()
    assert sh.flush()
    alone = _told(sink)
    sink._logs.clear()
    listener = _Listener()
    provider.add_log_record_processor(listener)
    _work()
    assert sh.flush()
    assert [record.log_record.event_name for record in listener.seen] == [name for name, *_ in alone]
    assert _told(sink) == alone
    assert all(math.isfinite(log.time) and log.time for log in sink.audit)
