"""What model calls used and cost: provider, tokens on one footing, cost as reported or by the price list."""

from __future__ import annotations

from typing import Any, Final

from spanhouse_collector.conventions.convention import EMBEDDING, LLM
from spanhouse_collector.normalise import models
from spanhouse_collector.normalise.group import Cells, Group
from spanhouse_collector.prices import PRICE_VERSION, Prices

_TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_PRICED: Final = frozenset({LLM, EMBEDDING})


def fill(cells: Cells, group: Group, prices: Prices) -> None:
    """Set provider, token and cost columns of a group, by its model columns that are set already."""
    rows = len(group)
    tokens = {column: values for column in _TOKENS if (values := group.column(column)) is not None}
    if "input_tokens" in tokens:
        for part in ("cache_read_tokens", "cache_write_tokens"):
            if part in tokens:
                _guard(tokens, beside=group.plan.cache_beside_input)
                break
    if "output_tokens" in tokens and "reasoning_tokens" in tokens:
        tokens["output_tokens"] = [
            models.inclusive(part, whole, beside=group.plan.reasoning_beside_output)
            for part, whole in zip(tokens["reasoning_tokens"], tokens["output_tokens"], strict=True)
        ]
    cells.update(tokens)
    model = cells.get("response_model") or cells.get("request_model")
    if model is not None and "request_model" in cells:
        model = [said or asked for said, asked in zip(model, cells["request_model"], strict=True)]
    if (providers := group.column("provider")) is not None or (model and group.plan.span_class in _PRICED):
        cells["provider"] = [
            models.provider(said or "", asked)
            for said, asked in zip(providers or [""] * rows, model or [""] * rows, strict=True)
        ]
    _cost(cells, group, prices, model)


def _guard(tokens: dict[str, list[Any]], *, beside: bool) -> None:
    rows = len(tokens["input_tokens"])
    read = tokens.get("cache_read_tokens") or [None] * rows
    written = tokens.get("cache_write_tokens") or [None] * rows
    tokens["input_tokens"] = [
        models.inclusive((r or 0) + (w or 0), whole, beside=beside)
        for r, w, whole in zip(read, written, tokens["input_tokens"], strict=True)
    ]


def _cost(cells: Cells, group: Group, prices: Prices, model: list[str] | None) -> None:
    rows = len(group)
    reported = group.column("cost_usd")
    costs: list[float | None] = reported or [None] * rows
    sources = ["" if value is None else "reported" for value in costs]
    versions = [value or "" for value in group.column("price_version") or [""] * rows]
    used = "input_tokens" in cells or "output_tokens" in cells
    if group.plan.span_class in _PRICED and model is not None and used:
        none = [None] * rows
        read, written = cells.get("cache_read_tokens", none), cells.get("cache_write_tokens", none)
        asked, answered = cells.get("input_tokens", none), cells.get("output_tokens", none)
        for row, span in enumerate(group.spans):
            if costs[row] is None and model[row] and (asked[row] is not None or answered[row] is not None):
                costs[row] = prices.cost(
                    cells["provider"][row],
                    model[row],
                    input_tokens=asked[row] or 0,
                    output_tokens=answered[row] or 0,
                    cache_read_tokens=read[row] or 0,
                    cache_write_tokens=written[row] or 0,
                    start_ns=span.start_time_unix_nano,
                )
                if costs[row] is not None:
                    sources[row], versions[row] = "computed", PRICE_VERSION
    if any(sources):
        cells["cost_usd"], cells["cost_source"], cells["price_version"] = costs, sources, versions
