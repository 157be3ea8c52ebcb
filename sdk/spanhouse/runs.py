"""A run: one span, one stop reason, and the identity that everything inside it carries."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Mapping
from contextvars import Token
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self, SupportsFloat

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span
from opentelemetry.util.types import AttributeValue

from spanhouse import attributes as keys
from spanhouse.active import active, running
from spanhouse.audit.emitter import AuditTrail
from spanhouse.canonical import shown
from spanhouse.content import Content
from spanhouse.context import current_run, leave, with_run
from spanhouse.errors import ConfigurationError, RunStopped
from spanhouse.failures import record_exception
from spanhouse.identity import run_id_of
from spanhouse.notices import warn_once
from spanhouse.processors import pending_record
from spanhouse.propagation import RemoteRun, remote_run
from spanhouse.stop_reasons import Outcome, StopCode, StopReason

StepKind = Literal["plan", "model", "tool", "wait", "other"]


@dataclass(slots=True)
class _Shared:
    """What a run and the sub-agents inside it have in common."""

    run_id: str
    stream: str = ""
    trail: AuditTrail = field(default_factory=AuditTrail)
    spans: int = 0
    step: tuple[int, StepKind] | None = None
    steps: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Run:
    """One run of an agent, as a context manager; made by ``spanhouse.run``.

    A run opened inside another one is a sub-agent: it has a span and a stop reason of its own, and shares the outer
    run's id, identity, step and audit trail.

    Attributes:
        run_id: 32 hex digits; known once the block is entered, as are the following.
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        name: what the run was called.
        agent, agent_version, request_id, session_id, user_id, tenant, environment: as given, else the outer run's,
            else what ``init`` was told; None where not known.
    """

    def __init__(
        self,
        name: str,
        *,
        agent: str | None = None,
        agent_version: str | None = None,
        request_id: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        tenant: str | None = None,
        environment: str | None = None,
        task: str | None = None,
        task_type: str | None = None,
        variant: str | None = None,
        input: Any = None,  # noqa: A002, ANN401 - the field's own name
    ) -> None:
        self.name = name
        self.agent = agent or name
        self.agent_version = agent_version
        self.request_id = request_id
        self.session_id = session_id
        self.user_id = user_id
        self.tenant = tenant
        self.environment = environment
        self.task = task
        self.task_type = task_type or (name if agent and agent != name else None)
        self.variant = variant
        self.run_id = self.trace_id = self.span_id = ""
        self._shared = _Shared("")
        self._span: trace.Span = trace.INVALID_SPAN
        self._content = Content(self._span, captured=False)
        self._attributes: dict[str, str] = {}
        self._common: dict[str, str] = {}
        self._is_root = True
        self._is_parents = False
        self._caller: RemoteRun | None = None
        self._input = input
        self._reason: StopReason | None = None
        self._outcome: Outcome | None = None
        self._budget: dict[str, Any] = {}
        self._escalated = False

    def __enter__(self) -> Self:
        if self.run_id:
            msg = f"the run {self.name!r} has been entered before: call spanhouse.run() for each run"
            raise ConfigurationError(msg)
        telemetry = active()
        if telemetry is None:
            warn_once("no-init", "spanhouse.init() has not been called: runs and calls are not recorded")
        outer = current_run()
        self._caller = remote_run() if outer is None else None
        self._inherit(outer or self._caller)
        tracer = trace.NoOpTracer() if telemetry is None else telemetry.tracer
        self._span = tracer.start_span(f"invoke_agent {self.agent}", attributes={keys.OPERATION: "invoke_agent"})
        self._started = time.perf_counter()
        context = self._span.get_span_context()
        known = context.is_valid
        self.trace_id = trace.format_trace_id(context.trace_id) if known else secrets.token_hex(16)
        self.span_id = trace.format_span_id(context.span_id) if known else secrets.token_hex(8)
        if outer:
            self._shared = outer._shared  # noqa: SLF001 - the same class
        else:
            own = run_id_of(self.trace_id, self.span_id)
            self._shared.run_id = (self._caller and self._caller.run_id) or own
            self._shared.stream = own
        self.run_id = self._shared.run_id
        self._is_root = outer is None and self._shared.run_id == self._shared.stream
        self._attributes = self._identity()
        self._common = {key: value for key, value in self._attributes.items() if key in _COMMON_EVENT_KEYS}
        self._content = Content(self._span, captured=telemetry is not None and telemetry.settings.capture_content)
        self._describe()
        self._token: Token[Context] = otel_context.attach(with_run(self, trace.set_span_in_context(self._span)))
        running.add(self)
        if self._is_root:
            self._announce()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        running.discard(self)
        stopped = isinstance(error, RunStopped)
        if self._is_parents:
            leave(self._token)
            return stopped
        if error is not None and not stopped:
            record_exception(self._span, error)
        reason = self._reason or _reason_of(error)
        self._end(reason)
        leave(self._token)
        self._span.end()
        return stopped

    @property
    def stop_reason(self) -> StopReason | None:
        """The reason given to ``stop`` or found at the end of the block; None while neither has happened."""
        return self._reason

    def stop(self, reason: StopReason | str) -> None:
        """Say why the run ends. The first reason given stands: it is the cause, later ones are its consequences.

        Raises:
            ValueError: the text is no stop reason; the message lists them.
        """
        parsed = reason if isinstance(reason, StopReason) else StopReason.parse(reason)
        if self._reason is None:
            self._reason = parsed

    def outcome(self, outcome: Outcome | str) -> None:
        """Say whether the run did what it was for: success, failure or unknown. The last one given stands.

        Raises:
            ValueError: another word.
        """
        self._outcome = Outcome(outcome)
        self._span.set_attribute(keys.OUTCOME, self._outcome.value)

    def input(self, value: Any) -> None:  # noqa: ANN401 - text or any JSON value
        """Record what the run was asked, where it is not known when the run starts."""
        self._content.set(keys.INPUT, value)

    def output(self, value: Any) -> None:  # noqa: ANN401 - text or any JSON value
        """Record what the run answered."""
        self._content.set(keys.OUTPUT, value)

    def escalate(self, why: str = "", **more: Any) -> None:  # noqa: ANN401 - further fields of the event
        """Mark the run as handed to a human, and write an ``escalation`` event. Does not end the run."""
        self._escalated = True
        self._span.set_attribute(keys.ESCALATED, True)
        self.event("escalation", reason=why or None, **more)

    def budget(self, limits: Mapping[str, Mapping[str, SupportsFloat | None]]) -> None:
        """Record limits and what was used of them, ``{"max_usd": {"limit": 1.0, "used": 0.2}}``; written at the end."""
        self._budget.update({name: dict(entry) for name, entry in limits.items()})

    def step(self, number: int, kind: StepKind = "other") -> None:
        """Make this the current step; spans and events from now on carry it, in sub-agents too."""
        with self._shared.lock:
            self._shared.step = (number, kind)
            self._shared.steps = max(self._shared.steps, number)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Put an attribute of your own on the run's span."""
        self._span.set_attribute(key, value)

    def event(self, name: str, /, **fields: Any) -> int:  # noqa: ANN401 - an event's own fields
        """Write one audit event and return its number in the run; see ``spanhouse.audit`` for names and fields."""
        common: dict[str, str | int] = {**self._common}
        if self._shared.stream != self.run_id:
            common[keys.AUDIT_STREAM] = self._shared.stream
        step = self._shared.step
        if step is not None:
            common[keys.STEP] = step[0]
        return self._shared.trail.write(name, common, fields)

    def mark(self, span: Span) -> None:
        """Put the run's identity on a span that starts inside it, and count it. Called by the span processor."""
        found = span.attributes
        # A copy is one look, the attributes themselves take a lock for each.
        said = found.copy() if isinstance(found, MappingProxyType) else (found or {})
        # A span may name an agent or user of its own; whose run and data it is, it may not.
        marks: dict[str, AttributeValue] = {
            key: value for key, value in self._attributes.items() if key in _FIXED or key not in said
        }
        step = self._shared.step
        if step is not None and keys.STEP not in said:
            marks[keys.STEP], marks[keys.STEP_KIND] = step
        span.set_attributes(marks)
        if span.get_span_context().trace_flags.sampled:
            with self._shared.lock:
                self._shared.spans += 1

    def leave_to_parent(self) -> None:
        """Let the parent end this run, in a process forked inside it; what happens here is numbered apart."""
        self._is_parents = True
        self._shared.stream = secrets.token_hex(16)
        self._shared.trail = AuditTrail()
        self._shared.lock = threading.Lock()

    def _inherit(self, outer: Run | RemoteRun | None) -> None:
        telemetry = active()
        for name in ("request_id", "session_id", "user_id", "tenant", "environment"):
            if getattr(self, name) is None:
                said = outer and getattr(outer, name)
                if not said and not isinstance(outer, Run):
                    said = getattr(telemetry and telemetry.settings, name, None)
                setattr(self, name, said or None)

    def _identity(self) -> dict[str, str]:
        said = {
            keys.RUN_ID: self.run_id,
            keys.REQUEST_ID: self.request_id,
            keys.TENANT: self.tenant,
            keys.ENVIRONMENT: self.environment,
            keys.SESSION_ID: self.session_id,
            keys.USER_ID: self.user_id,
            keys.AGENT_NAME: self.agent,
            keys.AGENT_VERSION: self.agent_version,
        }
        return {key: value for key, value in said.items() if value}

    def _describe(self) -> None:
        told = {keys.TASK: self.task, keys.TASK_TYPE: self.task_type, keys.VARIANT: self.variant}
        self._span.set_attributes({**self._attributes, **{key: value for key, value in told.items() if value}})
        if self._input is not None:
            self._content.set(keys.INPUT, self._input)

    def _announce(self) -> None:
        telemetry = active()
        if telemetry is not None and isinstance(self._span, Span) and self._span.get_span_context().trace_flags.sampled:
            self._shared.spans += 1
            telemetry.spans.put(pending_record(self._span, {keys.PENDING: True}))
        self.event(
            "run.start",
            task=self.task,
            task_type=self.task_type,
            variant=self.variant,
            user_id=self.user_id,
            session_id=self.session_id,
        )

    def _end(self, reason: StopReason) -> None:
        self._reason = reason
        said: dict[str, str | int] = {keys.STOP_REASON: str(reason)}
        if self._budget:
            said[keys.BUDGET] = json.dumps(self._budget, sort_keys=True, default=_number)
        if self._is_root:
            expected = self._shared.spans
            said[keys.SPANS_EXPECTED] = expected
            if self._shared.steps:
                said[keys.STEPS] = self._shared.steps
            said[keys.AUDIT_EXPECTED] = self.event(
                "run.end",
                stop_reason=str(reason),
                outcome=self._outcome or Outcome.UNKNOWN,
                escalated=self._escalated,
                duration_ms=round((time.perf_counter() - self._started) * 1000, 3),
                spans_expected=expected,
            )
        self._span.set_attributes(said)


_COMMON_EVENT_KEYS = frozenset(
    {keys.RUN_ID, keys.REQUEST_ID, keys.TENANT, keys.ENVIRONMENT, keys.AGENT_NAME, keys.AGENT_VERSION}
)
_FIXED = frozenset({keys.RUN_ID, keys.REQUEST_ID, keys.TENANT, keys.ENVIRONMENT})


def _number(value: object) -> float | str:
    # Money is often a Decimal.
    return float(value) if isinstance(value, SupportsFloat) else shown(value)


def _reason_of(error: BaseException | None) -> StopReason:
    if error is None:
        return StopReason(StopCode.FINISH)
    if isinstance(error, RunStopped):
        return error.reason
    if isinstance(error, Exception):
        return StopReason(StopCode.ERROR, type(error).__name__)
    # CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit: somebody ended it, nothing went wrong inside.
    return StopReason(StopCode.CANCELLED)


def run(
    name: str,
    *,
    agent: str | None = None,
    agent_version: str | None = None,
    request_id: str | None = None,
    session_id: str | None = None,
    user_id: str | None = None,
    tenant: str | None = None,
    environment: str | None = None,
    task: str | None = None,
    task_type: str | None = None,
    variant: str | None = None,
    input: Any = None,  # noqa: A002, ANN401 - the field's own name
) -> Run:
    """Return a run to enter with ``with``; all spans and audit events made inside belong to it.

    At the end of the block the run has exactly one stop reason: the one given to ``run.stop``, else that of a
    ``RunStopped`` leaving the block (which ends there), else ``error:<Type>`` or ``cancelled`` for another exception
    (which goes on), else ``finish``.

    Args:
        name: what the run does; the agent's name where ``agent`` is not given, else the task type where
            ``task_type`` is not.
        agent: the agent's name.
        agent_version: its version, by which runs are compared.
        request_id: what a person has in hand when something is wrong.
        session_id: the conversation the run is part of.
        user_id: whom it serves.
        tenant: whose data it is; set it at the entry point, never from what a model says.
        environment: deployment environment.
        task: the task's own id or short name.
        task_type: the kind of task.
        variant: the variant of an experiment.
        input: what the run is asked: text or any JSON value.
    """
    return Run(
        name,
        agent=agent,
        agent_version=agent_version,
        request_id=request_id,
        session_id=session_id,
        user_id=user_id,
        tenant=tenant,
        environment=environment,
        task=task,
        task_type=task_type,
        variant=variant,
        input=input,
    )
