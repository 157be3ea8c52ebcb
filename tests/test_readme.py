"""The read me's examples run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh
from spanhouse_runtime import ModelResponse, ScriptedModel, ToolCall, Usage

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def refund(order_id: str, amount: float) -> str:
    """Pay an order back."""
    return f"{amount} paid back for {order_id}"


def test_the_examples_run_and_are_recorded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each block is executed in turn, the later ones with what the earlier ones defined."""
    with OtlpSink() as sink:
        monkeypatch.setenv("SPANHOUSE_URL", sink.url)
        # The sink takes telemetry alone; the flags of a server where nobody has set any.
        monkeypatch.setattr(sh.Client, "control", lambda *_, **__: {"etag": "none", "flags": []})
        usage = Usage(input_tokens=100, output_tokens=10)
        call = ToolCall(id="c1", name="refund", arguments={"order_id": "A-1001", "amount": 250.0})
        model = ScriptedModel([ModelResponse(tool_calls=(call,), usage=usage)])
        names: dict[str, object] = {"model": model, "refund": refund}
        for block in BLOCKS:
            exec(compile(block, "README.md", "exec"), names)  # the point of the test
        sh.shutdown()
        runs = [span for span in sink.spans if span.name.startswith("invoke_agent") and not span.pending]
    assert len(BLOCKS) == 2
    assert [span.attributes["spanhouse.stop_reason"] for span in runs] == ["finish", "policy_deny:refund"]
    assert [span.attributes["spanhouse.request_id"] for span in runs] == ["req-42", "req-43"]
    assert "policy_deny:refund" in capsys.readouterr().out


def test_every_link_of_the_read_me_leads_somewhere() -> None:
    """Relative links and pictures exist."""
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    missing = [link for link in links if not link.startswith("http") and not (ROOT / link).exists()]
    assert not missing


def test_the_hops_of_a_span_are_real_files() -> None:
    """The list that shows newcomers around names files that exist."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    hops = re.findall(r"`([a-z]+/spanhouse[a-z_/]*(?:\.py|/))`", text)
    assert len(hops) >= 6
    assert [hop for hop in hops if not (ROOT / hop).exists()] == []
