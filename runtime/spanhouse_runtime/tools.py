"""Turn Python functions into tools: name, description, JSON schema and checked arguments from the signature."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

from spanhouse.errors import ConfigurationError, SpanhouseError
from spanhouse_runtime.model import ToolCall, ToolDefinition

Function = Callable[..., Any]
KeyFunction = Callable[[Mapping[str, Any]], str]


class ToolFailure(SpanhouseError):  # noqa: N818 - what happened
    """Raised by a tool to say: this did not work, and nothing was done, so that it may be tried again.

    Raise it ``from`` the exception behind it, and the failure is counted under that exception's type.
    """


class InvalidCall(SpanhouseError):  # noqa: N818 - what happened
    """A call asks for a tool that does not exist, or with arguments that do not fit; the text is for the model."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function an agent may call.

    Attributes:
        name, description: what the model sees; from the function where not given.
        function: sync, run in a worker thread; or async, cancelled when its time is up.
        timeout_seconds: None takes the run's limit.
        polling: equal calls in a row are expected and are no loop.
        once: the call changes something: a repeat under the same idempotency key returns the recorded result.
        key: picks the idempotency key from the arguments (an order number); without it all arguments make the key.
    """

    name: str
    description: str
    function: Function
    timeout_seconds: float | None = None
    polling: bool = False
    once: bool = False
    key: KeyFunction | None = None
    arguments: TypeAdapter[Any] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.timeout_seconds is not None and self.timeout_seconds <= 0:
            msg = f"tool {self.name!r}: timeout_seconds must be more than 0, not {self.timeout_seconds}"
            raise ConfigurationError(msg)
        if self.key is not None and not self.once:
            msg = f"tool {self.name!r} has an idempotency key but not once=True: add it, or drop the key"
            raise ConfigurationError(msg)
        object.__setattr__(self, "arguments", _arguments_of(self.name, self.function))

    @property
    def definition(self) -> ToolDefinition:
        """The tool as a model sees it."""
        return ToolDefinition(self.name, self.description, self.arguments.json_schema())


@dataclass(frozen=True, slots=True)
class CheckedCall:
    """A call whose arguments fit the tool.

    Attributes:
        arguments: as plain JSON values with defaults filled in: what is hashed, judged by policy and recorded.
        values: as the function takes them.
    """

    tool: Tool
    call_id: str
    arguments: Mapping[str, Any]
    values: Mapping[str, Any]


def tool(
    function: Function,
    *,
    name: str = "",
    timeout_seconds: float | None = None,
    polling: bool = False,
    once: bool = False,
    key: KeyFunction | None = None,
) -> Tool:
    """Return a function as a tool; its name and the first paragraph of its docstring describe it to the model.

    Raises:
        ConfigurationError: it is no function or method, or a parameter has no name to call it by or a type without a
            JSON schema.
    """
    bare = _bare(function)
    if not inspect.isfunction(bare) and not inspect.ismethod(bare):
        msg = f"a tool must be a function or a method, not {bare!r}: wrap it in a function with named parameters"
        raise ConfigurationError(msg)
    description = (inspect.getdoc(bare) or "").split("\n\n")[0].replace("\n", " ")
    return Tool(
        name=name or bare.__name__,
        description=description,
        function=bare,
        timeout_seconds=timeout_seconds,
        polling=polling,
        once=once,
        key=key,
    )


class Toolbox:
    """The tools of one agent, by name.

    Raises:
        ConfigurationError: two tools have one name.
    """

    def __init__(self, tools: Iterable[Tool | Function]) -> None:
        self._tools: dict[str, Tool] = {}
        for given in tools:
            made = given if isinstance(given, Tool) else tool(given)
            if made.name in self._tools:
                msg = f"two tools are called {made.name!r}: give one of them another name"
                raise ConfigurationError(msg)
            self._tools[made.name] = made
        self.definitions = tuple(made.definition for made in self._tools.values())

    @property
    def names(self) -> Sequence[str]:
        """The tools' names, in the order they were given."""
        return tuple(self._tools)

    def check(self, call: ToolCall) -> CheckedCall:
        """Return the call with its arguments checked against the tool's signature.

        Raises:
            InvalidCall: no such tool, or arguments that do not fit; says which and what would.
        """
        found = self._tools.get(call.name)
        if found is None:
            msg = f"there is no tool {call.name!r}; the tools are: {', '.join(self._tools) or 'none'}"
            raise InvalidCall(msg)
        given = call.arguments
        if isinstance(given, str):
            try:
                given = json.loads(given or "{}")
            except ValueError as problem:
                msg = f"the arguments of {call.name} are no valid JSON: {problem}"
                raise InvalidCall(msg) from None
        if not isinstance(given, Mapping):
            msg = f"the arguments of {call.name} must be a JSON object, not {type(given).__name__}"
            raise InvalidCall(msg)
        try:
            checked = found.arguments.validate_python(dict(given))
        except ValidationError as problem:
            details = (_plain(error) for error in problem.errors(include_url=False, include_context=False))
            msg = f"the arguments of {call.name} do not fit: {'; '.join(details)}"
            raise InvalidCall(msg) from None
        values = {field.name: getattr(checked, field.name) for field in dataclasses.fields(checked)}
        return CheckedCall(found, call.id, found.arguments.dump_python(checked, mode="json"), values)


def _bare(function: Function) -> Function:
    # What makes a span of its own is taken from under its decorator: the runtime makes the span.
    if inspect.ismethod(function):
        return types.MethodType(inspect.unwrap(function.__func__), function.__self__)
    bare: Function = inspect.unwrap(function)
    return bare


def _plain(error: Any) -> str:  # noqa: ANN401 - pydantic's error details
    return f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"


def _arguments_of(name: str, function: Function) -> TypeAdapter[Any]:
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as problem:
        msg = f"tool {name!r}: {problem}; types of parameters must be importable where the function is defined"
        raise ConfigurationError(msg) from problem
    fields: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            msg = f"tool {name!r}: parameter {parameter} cannot be given by name; write it as a plain parameter"
            raise ConfigurationError(msg)
        hint = hints.get(parameter.name, Any)
        if parameter.default is parameter.empty:
            fields.append((parameter.name, hint))
        else:
            fields.append((parameter.name, hint, dataclasses.field(default_factory=_maker(parameter.default))))
    # A dataclass takes any parameter name; a pydantic model would refuse or shadow some (copy, json, model_...).
    shape = dataclasses.make_dataclass(name if name.isidentifier() else "Arguments", fields, kw_only=True)
    shape.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(shape)
        adapter.json_schema()
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema) as problem:
        msg = f"tool {name!r}: a parameter's type has no JSON schema: {problem}"
        raise ConfigurationError(msg) from problem
    return adapter


def _maker(default: Any) -> Callable[[], Any]:  # noqa: ANN401 - any default value
    return lambda: copy.deepcopy(default)
