"""What is on disk when a process dies is whole, found, and delivered once by the next start."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.killed import killed, runs_in
from tests.support.otlp_sink import Answer, OtlpSink

import spanhouse as sh
from spanhouse.spool import frames
from spanhouse.spool.directory import AUDIT, SPANS, Spool, root_in
from spanhouse.spool.home import Home, Owner, orphans

OWNER = Owner("http://h/v1/traces", "http://h/v1/logs", "shop", "acme", "test", "k1")


def spooled(root: Path) -> list[Path]:
    """Return the files that hold records."""
    return [path for path in root.rglob("*.seg") if path.stat().st_size]


def test_frames_read_back() -> None:
    """What was written is read, with where it stands."""
    data = frames.pack(frames.BODY, b"spans", 3) + frames.pack(frames.EVENT, b"")
    found, damaged = frames.unpack(data, 100)
    assert [(frame.kind, frame.records, frame.payload) for frame in found] == [(1, 3, b"spans"), (2, 1, b"")]
    assert (found[0].start, found[1].end, damaged) == (100, 100 + len(data), 0)


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=4))
def test_a_cut_at_any_byte_costs_the_cut_frame_alone(payloads: list[bytes]) -> None:
    """A process dies within a write: everything before it is there, and the torn one is counted."""
    packed = [frames.pack(frames.EVENT, payload) for payload in payloads]
    ends = [sum(len(frame) for frame in packed[: number + 1]) for number in range(len(packed))]
    data = b"".join(packed)
    for cut in range(len(data) + 1):
        found, damaged = frames.unpack(data[:cut])
        assert [frame.payload for frame in found] == payloads[: sum(end <= cut for end in ends)]
        assert damaged == (cut not in {0, *ends})


@pytest.mark.parametrize("value", [0x00, 0xFF, 0xF5])
def test_a_wrong_byte_anywhere_costs_one_frame_alone(value: int) -> None:
    """A disk that forgets a byte: the frames on either side are found again."""
    packed = [frames.pack(frames.EVENT, payload) for payload in (b"one", b"two", b"three")]
    data = bytearray(b"".join(packed))
    for place in range(len(packed[0]), len(packed[0]) + len(packed[1])):
        kept, data[place] = data[place], value
        found, damaged = frames.unpack(bytes(data))
        if kept != value:
            assert ([frame.payload for frame in found], damaged) == ([b"one", b"three"], 1)
        data[place] = kept


def test_files_are_the_owners_alone(telemetry: OtlpSink, tmp_path: Path) -> None:
    """What an agent did is for nobody else on the machine."""
    telemetry.always(Answer(503))
    with sh.run("refund"):
        pass
    sh.flush(0.1)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "spool").rglob("*") if path.is_dir()} == {0o700}
    telemetry.always(None)


def test_an_event_is_on_disk_before_the_agent_goes_on(telemetry: OtlpSink, tmp_path: Path) -> None:
    """The next line of the agent may be its last: the event before it is in a file already."""
    with sh.run("refund") as run:
        run.event("decision", option="a")
        held = b"".join(path.read_bytes() for path in tmp_path.rglob("audit-*.seg"))
        assert b"decision" in held


def test_what_was_delivered_leaves_nothing_behind(telemetry: OtlpSink, tmp_path: Path) -> None:
    """A process that ends well leaves no directory."""
    with sh.run("refund"):
        pass
    assert sh.flush()
    assert spooled(tmp_path) == [] or all(path.name.startswith("audit") for path in spooled(tmp_path))
    sh.shutdown()
    assert list((tmp_path / "spool").iterdir()) == []


def test_the_next_start_sends_what_the_last_one_could_not(sink: OtlpSink) -> None:
    """A server that is away longer than the process lives: nothing is lost; what comes twice is told by its id."""
    sink.always(Answer(503))
    sh.init("shop", url=sink.url, tenant="acme")
    with sh.run("refund", request_id="R-1") as run:
        run.event("decision", option="a")
    sh.shutdown(0.1)
    assert sh.telemetry_loss()["spans"]["waiting"] == 2
    assert sh.telemetry_loss()["logs"]["waiting"] == 3
    sink.always(None)
    sh.init("shop", url=sink.url, tenant="acme")
    assert sh.flush()
    assert {event.attributes["spanhouse.audit.seq"]: event.event_name for event in sink.audit} == {
        1: "run.start",
        2: "decision",
        3: "run.end",
    }
    assert {span.span_id for span in sink.pending} == {span.span_id for span in sink.spans}
    assert len({span.span_id for span in sink.spans}) == 1
    assert sink.audit[0].attributes["spanhouse.request_id"] == "R-1"
    assert sink.audit[0].time > 0


def test_a_killed_process_is_shipped_by_the_next_start(sink: OtlpSink, tmp_path: Path) -> None:
    """Kill -9 at a random moment: each event the agent got past is there, and the run shows as started."""
    told = killed(sink.url, seconds=0.6)
    assert told > 0
    sh.init("shop", url=sink.url, tenant="acme")
    assert sh.flush()
    assert runs_in(sink, "decision") == list(range(told)) or runs_in(sink, "decision") == list(range(told + 1))
    assert {span.name for span in sink.pending} >= {"invoke_agent job"}
    sh.shutdown()
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_damaged_file_of_the_dead_is_counted_and_costs_no_more(sink: OtlpSink, tmp_path: Path) -> None:
    """The start never fails over what an earlier process left."""
    sink.always(Answer(503))
    sh.init("shop", url=sink.url, tenant="acme")
    with sh.run("refund"):
        pass
    sh.shutdown(0.1)
    file = next(tmp_path.rglob("audit-*.seg"))
    file.write_bytes(file.read_bytes()[:-5])
    sink.always(None)
    sh.init("shop", url=sink.url, tenant="acme")
    assert not sh.flush()
    assert [event.event_name for event in sink.audit] == ["run.start"]
    assert sh.telemetry_loss()["logs"]["lost"] == 1
    assert sh.flush()


def test_records_go_where_they_were_meant_to_go(tmp_path: Path) -> None:
    """Neither another server nor another key gets them; the same service with a new key does."""
    elsewhere = Owner("http://x/v1/traces", "http://x/v1/logs", "shop", "acme", "test", "k1")
    same_key = Owner(OWNER.traces, OWNER.logs, "other", "acme", "test", "k1")
    new_key = Owner(OWNER.traces, OWNER.logs, "shop", "acme", "test", "k2")
    stranger = Owner(OWNER.traces, OWNER.logs, "shop", "other", "test", "k2")
    for other, theirs in ((elsewhere, False), (same_key, True), (new_key, True), (stranger, False)):
        home = Home.make(tmp_path, OWNER)
        assert list(orphans(tmp_path, other, set())) == [], "it lives"
        home.let_go()
        found = list(orphans(tmp_path, other, set()))
        assert [one.path for one in found] == ([home.path] if theirs else [])
        for one in found or orphans(tmp_path, OWNER, set()):
            one.remove()


def test_over_the_cap_the_oldest_spans_go_and_events_stay(tmp_path: Path) -> None:
    """A long outage costs a bounded disk; what is dropped is told, audit events last."""
    spool = Spool(tmp_path, OWNER, cap=1024 * 1024)
    spans, audit = spool.streams[SPANS], spool.streams[AUDIT]
    dropped: list[int] = []
    spans.on_drop = lambda segment: dropped.append(segment.waiting)
    audit.on_drop = lambda _: pytest.fail("an event went while spans were there")
    for _ in range(100):
        audit.append(frames.EVENT, b"e" * 100, header=b"h")
        spans.append(frames.BODY, b"s" * 40_000, 10)
        spool.trim()
    assert spans.size + audit.size <= 1024 * 1024
    assert dropped
    assert audit.size > 100 * 100
    spool.close()


def test_a_long_outage_is_counted_by_its_reason(sink: OtlpSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """What had no room is lost and said so; what is left arrives."""
    monkeypatch.setenv("SPANHOUSE_SPOOL_BYTES", str(1024 * 1024))
    sink.always(Answer(503))
    sh.init("shop", url=sink.url)
    with sh.run("refund") as run:
        for number in range(60):
            with sh.tool_call("read", {"page": number}) as call:
                call.result("x" * 60_000)
            run.event("decision", option=str(number))
            sh.flush(0.02)
    sh.flush(0.3)
    lost = sh.telemetry_loss()["spans"]["lost"]
    assert lost > 10
    assert sh.telemetry_loss()["logs"]["lost"] == 0
    sink.always(None)
    sh.flush(20)
    loss = sh.telemetry_loss()
    assert loss["spans"]["acknowledged"] + loss["spans"]["lost"] == 62
    assert loss["logs"] == {"acknowledged": 122, "rejected": 0, "lost": 0, "waiting": 0}
    assert len(sink.logs_named("decision")) == 60


def test_a_full_disk_costs_the_buffer_and_no_record(
    telemetry: OtlpSink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without room on disk records wait in memory and are sent; one line says so."""

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("spanhouse.spool.streams.os.write", full)
        with sh.run("refund") as run:
            run.event("decision", option="a")
        assert sh.flush()
    assert [event.event_name for event in telemetry.audit] == ["run.start", "decision", "run.end"]
    assert len(telemetry.spans) == 1
    assert caplog.text.count("No space left on device") == 1
    with sh.run("again"):
        pass
    assert sh.flush()
    assert len(telemetry.audit) == 5


def test_a_write_that_stops_half_way_leaves_whole_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes the first half of a frame: the half is taken back, and the next frame stands well."""
    spool = Spool(tmp_path, OWNER)
    stream = spool.streams[AUDIT]
    stream.append(frames.EVENT, b"first", header=b"h")
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr("spanhouse.spool.streams.os.write", lambda fd, data: write(fd, data[: len(data) // 2]))
        with pytest.raises(OSError, match="bytes were written"):
            stream.append(frames.EVENT, b"second", header=b"h")
    stream.append(frames.EVENT, b"third", header=b"h")
    found, damaged = frames.unpack(next(tmp_path.rglob("audit-*.seg")).read_bytes())
    assert [frame.payload for frame in found] == [b"h", b"first", b"third"]
    assert damaged == 0
    spool.close()


def test_a_directory_that_cannot_be_used_is_done_without(
    sink: OtlpSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A read-only container works as before, and is told once what it goes without."""
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("SPANHOUSE_SPOOL", str(file / "spool"))
    sh.init("shop", url=sink.url)
    with sh.run("refund"):
        pass
    assert sh.flush()
    assert len(sink.audit) == 2
    assert "no disk buffer" in caplog.text


def test_where_the_spool_is() -> None:
    """The variable wins, empty turns it off, else it is in the user's state directory."""
    assert root_in({"SPANHOUSE_SPOOL": "/var/spool/x"}) == Path("/var/spool/x")
    assert root_in({"SPANHOUSE_SPOOL": " "}) is None
    assert root_in({"XDG_STATE_HOME": "/state"}) == Path("/state/spanhouse/spool")


def test_a_cap_that_cannot_be_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that cannot work says which, its value and the fix."""
    monkeypatch.setenv("SPANHOUSE_SPOOL_BYTES", "12 MB")
    with pytest.raises(sh.ConfigurationError, match="SPANHOUSE_SPOOL_BYTES is '12 MB'"):
        sh.init("shop")


def test_a_directory_that_is_removed_meanwhile_harms_nothing(telemetry: OtlpSink, tmp_path: Path) -> None:
    """Somebody cleans up by hand: what was in memory is sent, and the end is quiet."""
    with sh.run("before"):
        pass
    assert sh.flush()
    shutil.rmtree(tmp_path / "spool")
    with sh.run("after"):
        pass
    assert sh.flush()
    sh.shutdown()
    assert [event.event_name for event in telemetry.audit].count("run.end") == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_another_user_put_there_is_not_read(tmp_path: Path) -> None:
    """A directory that several users share: neither files to ship nor anything else is taken from others."""
    home = Home.make(tmp_path, OWNER)
    home.let_go()
    os.chown(home.path, 65534, 65534)
    assert list(orphans(tmp_path, OWNER, set())) == []
    os.chown(home.path, 0, 0)
    assert [one.path for one in orphans(tmp_path, OWNER, set())] == [home.path]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_within_a_run_leaves_the_parents_files_to_the_parent(telemetry: OtlpSink, tmp_path: Path) -> None:
    """The child writes to a directory of its own, and its parent's stays locked although the child goes first."""
    telemetry.always(Answer(503))
    with sh.run("parent") as run:
        child = os.fork()
        if child == 0:
            run.event("decision", option="child")
            os._exit(0)
        os.waitpid(child, 0)
        run.event("decision", option="parent")
        mine = {path for path in (tmp_path / "spool").iterdir() if path.name.startswith(f"{os.getpid()}-")}
        assert len(mine) == 1
        there = {path.name.partition("-")[0] for path in (tmp_path / "spool").iterdir()}
        assert there == {str(os.getpid()), str(child)}
        found = list(orphans(tmp_path / "spool", _owner(telemetry.url), mine))
        assert [one.path.name.partition("-")[0] for one in found] == [str(child)]
        for one in found:
            one.let_go()
    telemetry.always(None)
    assert sh.flush()
    said = {log.data["option"]: log.attributes for log in telemetry.logs_named("decision")}
    assert said["parent"]["spanhouse.run_id"] == said["child"]["spanhouse.run_id"] == run.run_id
    assert (said["parent"]["spanhouse.audit.seq"], said["child"]["spanhouse.audit.seq"]) == (2, 1)
    assert said["child"]["spanhouse.audit.stream"] != run.run_id
    assert "spanhouse.audit.stream" not in said["parent"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_run_is_ended_by_the_process_that_began_it(telemetry: OtlpSink) -> None:
    """A forked child that leaves the block too: one end, one span, the parent's."""
    child = -1
    try:
        with sh.run("refund"):
            child = os.fork()
            if child == 0:
                raise SystemExit  # noqa: TRY301 - as a worker that is done
    except SystemExit:
        sh.flush()
        os._exit(0)
    os.waitpid(child, 0)
    assert sh.flush()
    assert telemetry.span("invoke_agent refund").attributes["spanhouse.stop_reason"] == "finish"
    assert len(telemetry.logs_named("run.end")) == 1


def _owner(url: str) -> Owner:
    return Owner(f"{url}/v1/traces", f"{url}/v1/logs", "shop", "acme", "test", "")
