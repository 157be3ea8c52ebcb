import re
from pathlib import Path

import pytest

from spanhouse_alerts.check import check, loads
from spanhouse_alerts.rules import BudgetRule, Defaults, RatioRule

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()


def test_the_example_of_the_documentation_loads() -> None:
    """What the page shows can be copied and used."""
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert check(example) == []
    assert [rule.id for rule in loads(example).rules] == ["tool-errors", "completion-drop", "tenant-day"]


@pytest.mark.parametrize("model", [RatioRule, BudgetRule, Defaults])
def test_every_key_is_documented(model: type[RatioRule | BudgetRule | Defaults]) -> None:
    """The page names each key a rule and the defaults can have."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    missing = [name for name in names if not re.search(rf"`?\b{name}\b", PAGE)]
    assert missing == []
