# ruff: noqa: D101 - names state the rule
"""Tools: the schema a model sees, what arguments are let through, and what is said about those that are not."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

import spanhouse as sh
from spanhouse.errors import ConfigurationError
from spanhouse_runtime.model import ToolCall
from spanhouse_runtime.tools import InvalidCall, Tool, Toolbox, tool


class Address(BaseModel):
    city: str
    country: str = "DE"


def ship(
    order_id: str,
    copies: Annotated[int, Field(ge=1, le=9)] = 1,
    *,
    to: Address | None = None,
    speed: Literal["normal", "express"] = "normal",
    json: list[str] = ["pdf"],  # noqa: B006 - a default that is shared must not leak between calls
) -> str:
    """Ship an order.

    Not for the model.
    """
    return f"{order_id} {copies} {to} {speed} {json}"


def check(call: ToolCall) -> Any:
    return Toolbox([ship]).check(call)


def test_the_model_sees_name_first_paragraph_and_json_schema() -> None:
    definition = Toolbox([ship]).definitions[0]
    assert (definition.name, definition.description) == ("ship", "Ship an order.")
    properties = definition.parameters["properties"]
    assert definition.parameters["required"] == ["order_id"]
    assert definition.parameters["additionalProperties"] is False
    assert properties["copies"]["maximum"] == 9
    assert properties["speed"]["enum"] == ["normal", "express"]


def test_arguments_are_checked_converted_and_filled_in() -> None:
    call = check(ToolCall("1", "ship", {"order_id": "A-1", "copies": "2", "to": {"city": "Ulm"}}))
    assert call.values["to"] == Address(city="Ulm")
    assert call.arguments == {
        "order_id": "A-1",
        "copies": 2,
        "to": {"city": "Ulm", "country": "DE"},
        "speed": "normal",
        "json": ["pdf"],
    }


def test_a_default_is_fresh_for_every_call() -> None:
    box = Toolbox([ship])
    box.check(ToolCall("1", "ship", {"order_id": "A"})).values["json"].append("x")
    assert box.check(ToolCall("2", "ship", {"order_id": "A"})).values["json"] == ["pdf"]


def test_arguments_may_come_as_json_text() -> None:
    assert check(ToolCall("1", "ship", '{"order_id": "A-1"}')).arguments["order_id"] == "A-1"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (ToolCall("1", "send", {}), "there is no tool 'send'; the tools are: ship"),
        (ToolCall("1", "ship", {}), "order_id: "),
        (ToolCall("1", "ship", {"order_id": "A", "copies": 10}), "copies: Input should be less than or equal to 9"),
        (ToolCall("1", "ship", {"order_id": "A", "colour": "red"}), "colour: "),
        (ToolCall("1", "ship", {"order_id": "A", "to": {}}), r"to\.city: "),
        (ToolCall("1", "ship", '{"order_id": '), "no valid JSON"),
        (ToolCall("1", "ship", "[1]"), "must be a JSON object, not list"),
        (ToolCall("1", "ship", "null"), "must be a JSON object, not NoneType"),
        (ToolCall("1", "ship", ""), "order_id: "),
    ],
)
def test_a_call_that_does_not_fit_is_refused_with_words_for_the_model(call: ToolCall, says: str) -> None:
    with pytest.raises(InvalidCall, match=says):
        check(call)


def test_a_function_that_traces_itself_is_taken_bare() -> None:
    @functools.wraps(ship)
    def traced(*args: Any, **kwargs: Any) -> str:
        return ship(*args, **kwargs)

    assert tool(traced).function is ship


class Shop:
    """A tool may be a method."""

    def __init__(self, name: str) -> None:
        self.name = name

    @sh.tool
    def open(self, hour: int = 9) -> str:
        """Open the shop."""
        return f"{self.name} opens at {hour}"


def test_a_method_keeps_its_object_and_loses_its_decorator() -> None:
    made = tool(Shop("Acme").open)
    assert (made.name, made.description, list(made.definition.parameters["properties"])) == (
        "open",
        "Open the shop.",
        ["hour"],
    )
    assert made.function(hour=10) == "Acme opens at 10"
    assert not hasattr(made.function, "__wrapped__")


@pytest.mark.parametrize("given", [functools.partial(ship, order_id="A"), print, Shop])
def test_what_is_no_function_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be a function or a method"):
        tool(given)


def test_names_are_unique() -> None:
    with pytest.raises(ConfigurationError, match="two tools are called 'ship'"):
        Toolbox([ship, tool(lambda: None, name="ship")])


def variadic(*orders: str) -> None: ...


def positional(order: str, /) -> None: ...


@pytest.mark.parametrize("function", [variadic, positional])
def test_a_parameter_that_cannot_be_given_by_name_is_refused(function: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot be given by name"):
        tool(function)


def test_a_type_without_a_schema_is_refused() -> None:
    class Handle: ...

    def use(handle: Handle) -> None: ...

    use.__annotations__["handle"] = Handle
    with pytest.raises(ConfigurationError, match="has no JSON schema"):
        tool(use)


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="but not once=True"):
        tool(ship, key=lambda arguments: str(arguments["order_id"]))
    with pytest.raises(ConfigurationError, match="must be more than 0"):
        tool(ship, timeout_seconds=0)


def test_a_type_that_cannot_be_found_is_refused() -> None:
    def use(handle: str) -> None: ...

    use.__annotations__["handle"] = "Nowhere"
    with pytest.raises(ConfigurationError, match="name 'Nowhere' is not defined; types of parameters"):
        tool(use)


def test_a_tool_without_parameters_takes_none() -> None:
    ping: Tool = tool(lambda: "pong", name="ping")
    assert Toolbox([ping]).check(ToolCall("1", "ping", {})).arguments == {}
