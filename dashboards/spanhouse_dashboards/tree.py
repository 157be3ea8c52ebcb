"""The span tree: every span exactly once, parents before children, in start order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Span = Mapping[str, Any]
Number = TypeVar("Number", int, float)


@dataclass(slots=True)
class Row:
    """One span's place in the tree and the sums over it and all below it; a sum is None where nothing is known."""

    span: Span
    depth: int
    parent: int | None
    children: int = 0
    tokens: int | None = None
    cost_usd: float | None = None
    errors: int = 0


def rows(spans: Sequence[Span]) -> list[Row]:
    """Return the spans depth first, siblings by start and then by id.

    A span whose parent is not among `spans` is a root. Links that would close a circle are cut at the circle's first
    span in start order, so that no span is lost whatever was sent.
    """
    by_id = {str(span["span_id"]): span for span in spans}
    ordered = sorted(by_id.values(), key=lambda span: (str(span["start"]), str(span["span_id"])))
    children: dict[str | None, list[Span]] = {}
    for span in ordered:
        parent = span.get("parent_span_id")
        known = parent if parent in by_id and parent != span["span_id"] else None
        children.setdefault(known, []).append(span)
    placed: set[str] = set()
    out = _walk(children.get(None, ()), children, placed, 0)
    for span in ordered:
        if span["span_id"] not in placed:
            out += _walk((span,), children, placed, len(out))
    _sum_up(out)
    return out


def _walk(
    roots: Iterable[Span], children: Mapping[str | None, list[Span]], placed: set[str], first_index: int
) -> list[Row]:
    out: list[Row] = []
    stack: list[tuple[Span, int, int | None]] = [(span, 0, None) for span in reversed(list(roots))]
    while stack:
        span, depth, parent = stack.pop()
        span_id = str(span["span_id"])
        if span_id in placed:
            continue
        placed.add(span_id)
        index = first_index + len(out)
        out.append(Row(span, depth, parent))
        if parent is not None:
            out[parent - first_index].children += 1
        stack.extend((child, depth + 1, index) for child in reversed(children.get(span_id, [])))
    return out


def _sum_up(out: list[Row]) -> None:
    for row in reversed(out):
        own_tokens, own_cost = tokens(row.span), row.span.get("cost_usd")
        carrier = row.span.get("span_class") in _CARRIERS
        if not carrier or row.tokens is None:
            row.tokens = plus(row.tokens, own_tokens)
        if not carrier or row.cost_usd is None:
            row.cost_usd = plus(row.cost_usd, own_cost)
        row.errors += 1 if is_error(row.span) else 0
        if row.parent is not None:
            above = out[row.parent]
            above.tokens = plus(above.tokens, row.tokens)
            above.cost_usd = plus(above.cost_usd, row.cost_usd)
            above.errors += row.errors


_CARRIERS = frozenset({"agent", "workflow", "step"})
"""Classes whose own usage repeats that of the calls below them, so that adding both would count it twice."""


def plus(left: Number | None, right: Number | None) -> Number | None:
    """Return the sum of what is known, or None where neither is."""
    if left is None or right is None:
        return right if left is None else left
    return left + right


def tokens(span: Span) -> int | None:
    """Return input plus output tokens, or None where neither is known."""
    return plus(span.get("input_tokens"), span.get("output_tokens"))


def is_error(span: Span) -> bool:
    """Return whether the span failed."""
    return span.get("status") == "error"
