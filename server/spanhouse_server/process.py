"""The one process: its parts built in order, started together, stopped in reverse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from prometheus_client import Gauge
from sqlalchemy import Engine
from starlette.responses import RedirectResponse

from spanhouse.errors import ConfigurationError
from spanhouse_alerts.engine import AlertEngine
from spanhouse_analysis.job import FactsJob
from spanhouse_analysis.metrics.rollups.job import RollupJob
from spanhouse_analysis.sampling import Sampler
from spanhouse_collector.door import Door
from spanhouse_collector.grpc_front import AddressTakenError, GrpcFront, check_free
from spanhouse_collector.pipeline import DEFAULT_SETTINGS, Pipeline
from spanhouse_collector.policy import PolicyFile
from spanhouse_collector.receivers import otlp_router
from spanhouse_collector.redaction.capture import is_content
from spanhouse_collector.redaction.settings import Redacting, key_in
from spanhouse_server import token
from spanhouse_server.api import (
    alerts,
    approvals,
    audit,
    backup,
    budgets,
    control,
    deletions,
    export,
    health,
    keys,
    ledger,
    metrics,
    models,
    parameters,
    points,
    problems,
    reprocess,
    requests,
    runs,
    scores,
    sessions,
    sql,
    system,
    tail,
    tools,
)
from spanhouse_server.api.hosts import LoopbackNamesOnly
from spanhouse_server.api.ids import SentPaths
from spanhouse_server.approvals.desk import Desk
from spanhouse_server.audit import signing
from spanhouse_server.audit.configuration import fingerprints
from spanhouse_server.audit.job import Checkpointing
from spanhouse_server.audit.mirror import Mirror
from spanhouse_server.audit.trail import Trail
from spanhouse_server.control.board import Board
from spanhouse_server.deletions.erasing import Erasing
from spanhouse_server.deletions.expiring import Expiring, Marks
from spanhouse_server.deletions.proof import Proof
from spanhouse_server.following import Following
from spanhouse_server.keys import login
from spanhouse_server.keys.auth import Auth
from spanhouse_server.keys.gate import Gate
from spanhouse_server.keys.guard import Guard
from spanhouse_server.keys.refusals import Refusals
from spanhouse_server.keys.sessions import COOKIE
from spanhouse_server.leadership import Alone, Job, Leadership
from spanhouse_server.pages import LatePages
from spanhouse_server.parts import Parts
from spanhouse_server.readiness import Readiness
from spanhouse_server.reprocess import Reprocessing
from spanhouse_server.sampling import sampling_of
from spanhouse_server.settings import Role, Settings, is_loopback
from spanhouse_server.sql.caps import caps_of
from spanhouse_server.sql.door import SqlDoor
from spanhouse_server.sql.front import SqlFront
from spanhouse_server.sql.front import check_free as check_free_for_sql
from spanhouse_server.tail import Tail
from spanhouse_storage.contract import Store
from spanhouse_storage.kept import KeptStore
from spanhouse_storage.migrations import migrate
from spanhouse_storage.opening import open_store
from spanhouse_storage.screen import Screen
from spanhouse_storage.state import open_state
from spanhouse_storage.tombstones import Tombstones

log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def build(settings: Settings, clock: Callable[[], datetime] = utc_now) -> Parts:
    """Return the parts of a server, the store open and migrated; nothing runs yet.

    Must be called on the main thread: the embedded engine takes signal handlers, which only that thread may give back.

    Raises:
        StorageError: the store cannot be opened; the message says who holds it or what to change.
        ConfigurationError: the data directory or the gRPC address cannot be used, or a setting names what is not there.
    """
    data = settings.data_dir
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        msg = f"the data directory {data} cannot be made ({error.strerror}); name another with --data"
        raise ConfigurationError(msg) from error
    rules = _rules_file(settings)
    policy = PolicyFile(_policy_file(settings))
    settings = with_free_grpc(settings)
    if settings.sql_http:
        check_free_for_sql(settings.sql_http)
    with ExitStack() as undo:
        inner = open_store(settings.store_url, cluster=settings.store_cluster)
        undo.callback(inner.close)
        migrate(inner)
        state = open_state(settings.state_url)
        undo.callback(state.dispose)
        marks = Marks(state, lambda: policy.current().lives())
        tombstones = Tombstones(state, clock)
        screen = Screen(lambda: policy.current().lives(), tombstones, is_content, clock)
        store = KeptStore(inner, screen, retention=lambda: policy.current().lives(), removed=marks.removed, clock=clock)
        rollups = RollupJob(store, clock=clock)
        facts = FactsJob(
            store,
            state,
            clock=clock,
            lease_seconds=settings.run_lease,
            sampler=Sampler(
                store, state, partial(sampling_of, policy), delay=timedelta(seconds=settings.sampling_delay)
            ),
            publishing=rollups.publishing,
        )
        pipeline = Pipeline(
            store,
            data / "journal",
            facts.stored if inner.info.kind == "embedded" else _nothing,
            settings=replace(DEFAULT_SETTINGS, max_journal_bytes=settings.journal_limit),
            redaction=Redacting(policy, key_in(data)),
            screen=screen,
        )
        trail = Trail(state, pipeline.submit)
        proof = Proof(store, state, trail.try_to_send)
        erasing = Erasing(
            inner,
            state,
            pipeline,
            tombstones,
            proof,
            clock=clock,
            window=timedelta(seconds=settings.erasure_window),
            forget=facts.forget,
        )
        expiring = Expiring(inner, lambda: policy.current().lives(), marks, proof, clock=clock)
        if settings.role != Role.COLLECTOR:
            signing.ensure(settings.audit_key_file)
        checkpoints = Checkpointing(
            inner,
            state,
            lambda: signing.load(settings.audit_key_file),
            [Mirror(folder, state) for folder in settings.checkpoint_dirs],
            retention=lambda: policy.current().lives(),
            clock=clock,
            configuration=partial(fingerprints, settings, _configuration_files(settings, rules)),
        )
        pipeline.metrics.watch(
            "policy_refused", "1 while the policy file cannot be used and the last good one holds.", policy.is_refused
        )
        engine = AlertEngine.over(store, state, rules, clock=clock, base_url=settings.url)
        desk = Desk(state, clock)
        Gauge(
            "spanhouse_server_approvals_waiting_items",
            "Questions of agents that wait for a person.",
            registry=pipeline.metrics.registry,
        ).set_function(desk.waiting)
        operator_token = token.ensure(data)
        guard = Guard(
            state,
            operator_token,
            clock=clock,
            auth=Auth(settings.auth),
            rate=settings.tenant_rate,
            size=settings.tenant_bytes,
            refusals=Refusals(pipeline.metrics.registry),
        )
        parts = Parts(
            settings=settings,
            store=store,
            state=state,
            pipeline=pipeline,
            facts=facts,
            alerts=engine,
            board=Board(state, clock),
            desk=desk,
            trail=trail,
            checkpoints=checkpoints,
            operator_token=operator_token,
            guard=guard,
            readiness=Readiness(
                store, pipeline, facts, journal_limit=settings.journal_limit, grace=settings.ready_grace
            ),
            reprocessing=Reprocessing(store, facts.touch),
            policy=policy,
            erasing=erasing,
            expiring=expiring,
            leadership=_leadership(
                inner,
                state,
                facts,
                Following(store, facts.touch, clock=clock),
                [rollups, engine, expiring, erasing, checkpoints],
            ),
            sql=SqlDoor(caps_of(settings)),
            tail=Tail(store, clock),
        )
        undo.pop_all()
    return parts


class _Facts:
    """Facts in a process that may lose and regain the lease: whatever others did meanwhile is looked at anew."""

    def __init__(self, facts: FactsJob) -> None:
        self._facts = facts

    def start(self) -> None:
        self._facts.renew()
        self._facts.recover()
        self._facts.start()

    def stop(self) -> None:
        self._facts.stop()


def _leadership(
    store: Store,
    state: Engine,
    facts: FactsJob,
    following: Following,
    jobs: Sequence[Job],
) -> Leadership | Alone:
    """Return what runs the jobs: the process itself where it owns its store, else whoever of several has the lease."""
    if store.info.kind == "embedded":
        return Alone(jobs)
    return Leadership(state, [_Facts(facts), following, *jobs])


def _nothing(*_: object) -> None:
    """Do nothing with what is stored: where several may store spans, `Following` finds them for whoever leads."""


def _routers(role: str) -> list[APIRouter]:
    """Return the routes of the API; a collector has none."""
    if role == Role.COLLECTOR:
        return []
    readings = (
        *(
            runs,
            sessions,
            tail,
            requests,
            metrics,
            points,
            tools,
            models,
            scores,
            audit,
            alerts,
            ledger,
            system,
            export,
        ),
    )
    return [part.router for part in (*readings, budgets, control, approvals, keys, reprocess, sql, deletions, backup)]


def create_app(parts: Parts) -> FastAPI:
    """Return the ASGI application that serves OTLP (over gRPC too), the API and the dashboards of these parts."""
    door = Door(
        parts.pipeline,
        identify=parts.guard.caller,
        max_body=parts.settings.max_body,
        collector=parts.settings.collector,
    )
    dashboards = _dashboards(parts)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            # Last in, first out: the store closes once nothing that uses it runs any more.
            stack.callback(parts.store.close)
            stack.callback(parts.state.dispose)
            stack.callback(parts.guard.ring.flush)
            if isinstance(parts.leadership, Alone):
                parts.facts.recover()
                parts.facts.start()
                stack.callback(parts.facts.stop)
            parts.pipeline.start()
            stack.callback(parts.pipeline.stop)
            stack.callback(parts.reprocessing.stop)
            trail = asyncio.create_task(parts.trail.run())
            stack.push_async_callback(_ended, trail)
            sweep = asyncio.create_task(parts.desk.run())
            stack.push_async_callback(_ended, sweep)
            stack.push_async_callback(parts.tail.close)
            if parts.settings.role != Role.COLLECTOR:
                # Jobs write events through the pipeline and may wait for the store: not on the loop that serves others.
                await asyncio.to_thread(parts.leadership.start)
                stack.push_async_callback(asyncio.to_thread, parts.leadership.stop)
            if parts.settings.grpc:
                front = GrpcFront(door, parts.settings.grpc)
                await front.start()
                stack.push_async_callback(front.stop)
            await _speak_clickhouse(parts, stack)
            if dashboards is not None:
                await stack.enter_async_context(dashboards.lifespan(app))
            yield

    app = FastAPI(
        title="Spanhouse",
        summary="What AI agents did, and the switch that stops them.",
        lifespan=lifespan,
        # A server that traced its own OTLP requests would send itself a span for every span it takes.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        docs_url="/docs",
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.add_middleware(SentPaths)
    app.add_middleware(Gate, guard=parts.guard)
    if is_loopback(parts.settings.host) and not parts.settings.allow_remote:
        app.add_middleware(LoopbackNamesOnly)
    app.state.parts = parts
    problems.install(app)
    app.include_router(otlp_router(door))
    app.include_router(health.router)
    for part in _routers(parts.settings.role):
        app.include_router(part, dependencies=[Depends(parameters.known_only)])
    if dashboards is not None:
        app.include_router(login.router)
        app.mount("/ui", dashboards)

        @app.get("/", include_in_schema=False)
        async def home() -> RedirectResponse:
            return RedirectResponse("/ui/")

    return app


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _speak_clickhouse(parts: Parts, stack: AsyncExitStack) -> None:
    settings = parts.settings
    if not settings.sql_http:
        return
    front = SqlFront(settings.sql_http, parts.store, parts.sql, parts.guard, allow_remote=settings.allow_remote)
    await front.start()
    stack.push_async_callback(front.stop)


def _dashboards(parts: Parts) -> LatePages | None:
    if not parts.settings.ui or parts.settings.role == Role.COLLECTOR:
        return None

    def make() -> Any:  # noqa: ANN401 - streamlit's App
        from spanhouse_dashboards.mount import streamlit_app  # noqa: PLC0415 - half a second nobody need wait for

        # A page asks the API as its visitor does, so the API's own narrowing holds for the pages too.
        return streamlit_app(url=parts.settings.url, cookie=COOKIE)

    return LatePages(make)


def with_free_grpc(settings: Settings) -> Settings:
    """Return the settings, without gRPC where nobody asked for its address and something else has it.

    Another collector on the standard port is no reason not to start; an address that was chosen and is taken is.
    """
    if not settings.grpc:
        return settings
    try:
        check_free(settings.grpc)
    except AddressTakenError as error:
        remedy = "choose another address with --grpc 127.0.0.1:PORT, or none with --grpc ''"
        if settings.grpc != Settings().grpc:
            msg = f"{error}; {remedy}"
            raise ConfigurationError(msg) from error
        log.warning("no OTLP over gRPC: %s; %s", error, remedy)
        return replace(settings, grpc="")
    return settings


def _policy_file(settings: Settings) -> Path:
    if not settings.policy:
        return settings.data_dir / "policy.yaml"
    named = Path(settings.policy).expanduser()
    if not named.exists():
        msg = f"policy file {named} does not exist; name another with --policy"
        raise ConfigurationError(msg)
    return named


def _configuration_files(settings: Settings, rules: Path | None) -> dict[str, Path]:
    """Return the files whose change is an event, by what they are called in it."""
    return {"policy.yaml": _policy_file(settings), "rules.yaml": rules or settings.data_dir / "rules.yaml"}


def _rules_file(settings: Settings) -> Path | None:
    if settings.rules:
        named = Path(settings.rules).expanduser()
        if not named.is_file():
            msg = f"there is no rules file {named}: name one with --rules, or leave it out for the rules that ship"
            raise ConfigurationError(msg)
        return named
    own = settings.data_dir / "rules.yaml"
    return own if own.exists() else None
