"""What people say of a run, checked, and as the log record that makes it a score."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Annotated, Final, Literal

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spanhouse import attributes as keys
from spanhouse_collector.records import RawRecord

LARGEST_BODY: Final = 64 * 1024
LONGEST_TEXT: Final = 8_000
SCOPE: Final = "spanhouse.feedback"
USER_FEEDBACK: Final = "user_feedback"
CORRECTION: Final = "correction"
_TRACE: Final = re.compile(r"[0-9a-f]{32}")
_SPAN: Final = re.compile(r"[0-9a-f]{16}")

Name = Annotated[str, Field(max_length=256)]


class Feedback(BaseModel):
    """A thumb, a score or a correction of one run, named by its run, request or trace id."""

    model_config = ConfigDict(extra="forbid")

    run_id: Name = ""
    request_id: Name = ""
    trace_id: Name = ""
    span_id: Name = ""
    tenant: Name = Field("", description="Of a run that is not known yet")
    thumbs: Literal["up", "down"] | None = Field(None, description="user_feedback of 1 or 0")
    correction: str = Field("", max_length=LONGEST_TEXT, description="What it should have been")
    name: Name = ""
    value: float | None = Field(None, allow_inf_nan=False)
    label: Name = ""
    comment: str = Field("", max_length=LONGEST_TEXT)
    by: Name = ""

    @model_validator(mode="after")
    def _says_one_thing_of_one_run(self) -> Feedback:
        if sum(map(bool, (self.run_id, self.request_id, self.trace_id))) != 1:
            msg = "say which run is meant by one of run_id, request_id and trace_id"
            raise ValueError(msg)
        for field, pattern in (("trace_id", _TRACE), ("span_id", _SPAN)):
            if getattr(self, field) and not pattern.fullmatch(getattr(self, field)):
                msg = f"{field} {getattr(self, field)[:80]!r} is none: lower-case hex digits, as in the record"
                raise ValueError(msg)
        scored = self.value is not None or bool(self.label)
        if [self.thumbs is not None, bool(self.correction), scored].count(True) != 1:
            msg = "say one thing: thumbs (up, down), a correction, or a value or label under a name"
            raise ValueError(msg)
        if scored and not self.name:
            msg = "a value or label needs a name, such as 'helpful'"
            raise ValueError(msg)
        if self.thumbs is not None:
            self.name = self.name or USER_FEEDBACK
            self.value, self.label = (1.0, "up") if self.thumbs == "up" else (0.0, "down")
        elif self.correction:
            self.name, self.value, self.label = self.name or CORRECTION, 0.0, "corrected"
        return self

    def explanation(self) -> str:
        """Return what stands beside the score: the correction, the comment, and who said it."""
        said = " ".join(each for each in (self.correction, self.comment) if each)
        return f"{said} (by {self.by})".strip() if self.by else said


def record_of(  # noqa: D417 - two of a line
    feedback: Feedback, *, tenant: str, run_id: str, trace_id: str, at: datetime
) -> RawRecord:
    """Return the log record, an evaluation result as OpenTelemetry names it.

    Args:
        feedback: what was said.
        tenant: whose run it is.
        run_id, trace_id: which run; empty where not known.
        at: when it was said, aware.
    """
    texts = {
        keys.TENANT: tenant,
        keys.RUN_ID: run_id,
        "gen_ai.evaluation.name": feedback.name,
        "gen_ai.evaluation.score.label": feedback.label,
        "gen_ai.evaluation.explanation": feedback.explanation(),
    }
    attributes = [KeyValue(key=key, value=AnyValue(string_value=text)) for key, text in texts.items() if text]
    if feedback.value is not None:
        value = AnyValue(double_value=feedback.value)
        attributes.append(KeyValue(key="gen_ai.evaluation.score.value", value=value))
    record = LogRecord(
        time_unix_nano=int(at.timestamp() * 1e9),
        event_name="gen_ai.evaluation.result",
        attributes=attributes,
        trace_id=bytes.fromhex(trace_id) if _TRACE.fullmatch(trace_id) else b"",
        span_id=bytes.fromhex(feedback.span_id),
    )
    scope = ScopeLogs(scope=InstrumentationScope(name=SCOPE), log_records=[record])
    request = ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[scope])])
    return RawRecord(
        signal="logs",
        body=request.SerializeToString(),
        received_us=time.time_ns() // 1000,
        tenant=tenant,
        collector=0,
    )
