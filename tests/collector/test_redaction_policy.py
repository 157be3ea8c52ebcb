"""The policy file: strict, merged tenant by tenant, followed while it changes, never half applied."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest

from spanhouse_collector.policy import Mode, Policy, PolicyError, PolicyFile, read
from spanhouse_collector.redaction.settings import Redacting, key_in

WHOLE = """
version: 1
default:
  detectors: {card: off, jwt: hash}
  attributes: {"user.*": hash}
tenants:
  acme:
    capture_content: false
    redact_before_journal: true
    detectors: {jwt: drop}
    patterns:
      employee: {match: "EMP-[0-9]{4}"}
"""


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_tenant_has_what_it_says_and_else_the_default() -> None:
    """Maps are merged key by key; tenants that the file does not name have the default."""
    policy = read(WHOLE)
    acme, other = policy.of("acme"), policy.of("other")
    assert acme.detectors == {"card": Mode.OFF, "jwt": Mode.DROP}
    assert other.detectors == {"card": Mode.OFF, "jwt": Mode.HASH}
    assert (acme.capture_content, acme.redact_before_journal) == (False, True)
    assert (other.capture_content, other.redact_before_journal) == (True, False)
    assert acme.attributes == other.attributes == {"user.*": Mode.HASH}
    assert list(acme.patterns) == ["employee"]
    assert not other.patterns


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("default: {capture_contents: true}", "default.capture_contents"),
        ("default: {capture_content: 'yes'}", "default.capture_content"),
        ("default: {detectors: {creditcard: mask}}", "creditcard"),
        ("default: {detectors: {card: hide}}", "'mask', 'hash', 'drop' or 'off'"),
        ("default: {attributes: {'user.id': off}}", "user.id"),
        ("default: {patterns: {card: {match: x}}}", "choose another"),
        ("default: {patterns: {p: {match: '(?=a)'}}}", "linear-time engine.*look-around"),
        ("default: {patterns: {p: {match: '(a)\\1'}}}", "linear-time engine.*backreferences"),
        ("default: {patterns: {p: {match: 'a*'}}}", "matches the empty text"),
        ("default: {patterns: {p: {match: '(x{900}){900}'}}}", "linear-time engine"),
        ("version: 2", "version"),
        ("[]\n- a: b", "YAML"),
        ("a: &b [1]\nc: *b", "aliases are not read"),
        ("default: " + "x" * 300_000, "larger than"),
    ],
)
def test_a_file_that_says_anything_unknown_is_refused_with_the_reason(text: str, said: str) -> None:
    """A slip in a policy must not leave content stored that nobody wanted stored."""
    with pytest.raises(PolicyError, match=said):
        read(text)


def test_a_pattern_that_would_be_slow_elsewhere_is_fast_here() -> None:
    """The engine is linear, so nested repeats are no weapon; the suite's own time limit is the judge."""
    pattern = read("default: {patterns: {evil: {match: '(a+)+b'}}}").of("").patterns["evil"]
    assert pattern.match == "(a+)+b"


def test_a_change_holds_without_a_restart_and_a_bad_one_never_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The last good policy stays, loudly, until the file is mended."""
    file, clock = tmp_path / "policy.yaml", Clock()
    policy = PolicyFile(file, clock=clock)
    assert policy.current() == Policy()
    file.write_text("default: {capture_content: false}")
    clock.now = 1.0
    good = policy.current()
    assert not good.of("x").capture_content
    file.write_text("default: {capture_content: perhaps}")
    clock.now = 2.0
    with caplog.at_level(logging.ERROR):
        assert policy.current() is good
    assert "capture_content" in policy.problem
    assert str(file) in caplog.text
    assert policy.is_refused()
    file.unlink()
    clock.now = 3.0
    assert policy.current() is good
    file.write_text("default: {}")
    clock.now = 4.0
    assert policy.current().of("x").capture_content
    assert not policy.is_refused()


def test_a_server_does_not_start_with_a_file_it_cannot_use(tmp_path: Path) -> None:
    """There is no good policy to fall back on yet."""
    file = tmp_path / "policy.yaml"
    file.write_text("default: [")
    with pytest.raises(PolicyError, match=str(file)):
        PolicyFile(file)


def test_the_key_of_the_hashes_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    """Hashes of one installation join over restarts, and nobody else can check a guess."""
    key = key_in(tmp_path)
    assert len(key) == 32
    assert key_in(tmp_path) == key
    assert stat.S_IMODE((tmp_path / "redaction.key").stat().st_mode) == 0o600
    now = Redacting(PolicyFile(tmp_path / "policy.yaml"), key)
    assert now() is now()
