from __future__ import annotations

from typing import Any

import pytest

from spanhouse_dashboards import model_table


def model(name: str | None = "m", calls: int = 4, unpriced: int = 0, cost: float | None = 0.5) -> dict[str, Any]:
    return {"model": name, "calls": calls, "unpriced_calls": unpriced, "cost_usd": cost}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (model(), "$0.50"),
        (model(cost=0.0), "$0"),
        (model(cost=None), "—"),
        (model(unpriced=4, cost=None), "unknown"),
        (model(unpriced=1), "$0.50 + 1 call unknown"),
    ],
)
def test_a_call_without_a_price_is_unknown_and_never_free(row: dict[str, Any], said: str) -> None:
    assert model_table.cost(row) == said


def test_models_without_a_price_are_named_up_to_five() -> None:
    assert model_table.unpriced([model()]) is None
    found = [model(name=None, unpriced=2), *(model(f"m{number}", unpriced=1) for number in range(6))]
    said = model_table.unpriced(found)
    assert said is not None
    assert said.startswith("No price is known for 8 calls of a model without a name, m0, m1, m2, m3 and 2 more")
