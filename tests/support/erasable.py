"""Two people's records in every table of the store, one of them with a marker in every text."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.rows import rows, run, span

from spanhouse_storage import Store

MARKER = "xq7-remember-me-not"
MINE, THEIRS = "ada@example.org", "bob@example.org"


def fill(store: Store) -> None:
    """Store one trace of each of two people, in every table that can speak of them."""
    for number, (user, trace) in enumerate(((MINE, "t1"), (THEIRS, "t2"))):
        text = f"{MARKER} of {user}" if user == MINE else "something else"
        own = {"tenant": "acme", "trace_id": trace, "run_id": f"r-{trace}"}
        store.insert(
            "spans",
            rows(
                "spans",
                span(trace, "root", user_id=user, run_hint=f"r-{trace}", request_id=f"q-{trace}", session_id="s"),
                span(trace, "model", input=text, output=text, response_id=f"a-{trace}", attributes=[("note", text)]),
            ),
            f"spans-{number}",
        )
        store.insert("messages", rows("messages", {**own, "span_id": "model", "input": text}), f"m{number}")
        store.insert(
            "runs", rows("runs", run(f"r-{trace}", trace_id=trace, user_id=user, input_preview=text)), f"r{number}"
        )
        store.insert("steps", rows("steps", {**own, "user_id": user, "error_message": text}), f"s{number}")
        logs = [{**own, "record_id": f"l-{trace}", "body": text}]
        logs.append({"tenant": "acme", "record_id": f"lone-{trace}", "user_id": user, "body": text})
        store.insert("logs", rows("logs", *logs), f"l{number}")
        scores = [{**own, "score_id": f"a{number}", "explanation": text}]
        scores.append({"tenant": "acme", "score_id": f"b{number}", "response_id": f"a-{trace}", "explanation": text})
        store.insert("scores", rows("scores", *scores), f"c{number}")
        exemplar = json.dumps([{"trace_id": trace, "attributes": {"text": text}}])
        points = [{"tenant": "acme", "name": "calls", "series": number, "exemplars": exemplar, "value": 1.0}]
        points.append(
            {"tenant": "acme", "name": "own", "series": number, "attributes": [("user.id", user), ("x", text)]}
        )
        store.insert("metric_points", rows("metric_points", *points), f"p{number}")
        events = [{**own, "stream": f"r-{trace}", "seq": 1, "data": json.dumps({"said": text})}]
        control = {"action": "stop", "scope": "user", "target": user, "reason": text}
        events.append({"tenant": "acme", "stream": "control", "seq": number, "data": json.dumps(control)})
        store.insert("audit_events", rows("audit_events", *events), f"e{number}")


def files_with(path: Path, text: str) -> list[Path]:
    """Return the files below a folder whose bytes hold the text."""
    return [file for file in path.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]
