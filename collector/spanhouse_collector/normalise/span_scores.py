"""Scores that stand on spans: numbered attributes (OpenInference), evaluation events, and spans of evaluators."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

from spanhouse import attributes as own
from spanhouse_collector.conventions import genai_evaluations
from spanhouse_collector.conventions.genai_flat import numbered, tree
from spanhouse_collector.conventions.readers import as_text, name, number
from spanhouse_collector.normalise.columns import Columns
from spanhouse_storage.tables import SCHEMAS

_MEMBERS: Final = {"evaluations.": "evaluation", "annotations.": "annotation"}
_LEVELS: Final = ("", "trace.", "session.")
_SAID: Final = (genai_evaluations.PREFIX, own.ERROR_TYPE)
PREFIXES: Final = (*(f"{level}{kind}" for kind in _MEMBERS for level in _LEVELS), genai_evaluations.PREFIX)
"""What the keys of scores on a span begin with."""

_OUTCOME: Final = ("status", "error_type", "status_message")
_SHARED: Final = ("tenant", "trace_id", "span_id", "bucket", "received_at", "version", "response_id")


def span_scores(spans: pa.Table) -> pa.Table:
    """Return the rows of ``scores`` that spans with such keys hold; a score's id follows from its span and place."""
    columns = Columns(SCHEMAS["scores"])
    rows = [score for row in _plain(spans) for score in _scores(row)]
    columns.rows(rows)
    return columns.table(len(rows))


def _plain(spans: pa.Table) -> list[dict[str, Any]]:
    # Times as whole numbers: Python's own hold no nanoseconds.
    whole = {"end": pa.int64(), "bucket": pa.int64(), "received_at": pa.int64()}
    table = spans.select([*_SHARED, "end", "run_hint", "attributes", "events", *_OUTCOME])
    for column, type_ in whole.items():
        table = table.set_column(table.column_names.index(column), column, table[column].cast(type_))
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def _scores(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    attributes = dict(row["attributes"])
    for kind, member in _MEMBERS.items():
        for level in _LEVELS:
            for place, node in enumerate(numbered(tree(attributes, level + kind))):
                said = node.get(member) if isinstance(node, dict) else None
                if isinstance(said, dict):
                    yield _score(row, _judged(said), f"{level}{kind}{place}")
    if said := _own(row, attributes):
        yield _score(row, said, genai_evaluations.PREFIX)
    for place, event in enumerate(json.loads(row["events"]) if row["events"] else ()):
        if genai_evaluations.tells(event["name"], event["attributes"]):
            yield _score(row, genai_evaluations.verdict(event["attributes"]), f"events{place}")


def _judged(said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name(said.get("name")) or "",
        "value": number(said.get("score")),
        "label": name(said.get("label")) or "",
        "explanation": as_text(said.get("explanation") or ""),
    }


def _own(row: Mapping[str, Any], attributes: Mapping[str, str]) -> dict[str, Any] | None:
    # The span of an evaluation names it even before there is a verdict; without one it tells nothing, unless it failed.
    said = genai_evaluations.verdict({key: text for key, text in attributes.items() if key.startswith(_SAID)})
    if row["status"] == "error":
        said["error_type"] = said["error_type"] or row["error_type"]
        said["explanation"] = said["explanation"] or row["status_message"]
    told = said["value"] is not None or said["label"] or said["error_type"]
    return said if said["name"] and told else None


def _score(row: Mapping[str, Any], said: Mapping[str, Any], place: str) -> dict[str, Any]:
    identity = "\0".join((row["trace_id"], row["span_id"], place))
    return {
        **{column: row[column] for column in _SHARED},
        "score_id": hashlib.sha256(identity.encode()).hexdigest()[:32],
        "time": row["end"],
        **said,
        "run_id": row["run_hint"],
        "source": "span",
    }
