"""Tools: Python functions with what an agent needs to know of them, and what their authors declare."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypedDict, Unpack, overload

from pydantic import TypeAdapter, ValidationError

from spanhouse.errors import ConfigurationError, ErrorType, SpanhouseError
from spanhouse_runtime.guard.breaker import BreakerSettings
from spanhouse_runtime.guard.costs import Cost
from spanhouse_runtime.model import ToolCall, ToolDefinition
from spanhouse_runtime.retries import Retries
from spanhouse_runtime.tool_arguments import Injected, arguments_of, injected_into
from spanhouse_runtime.tool_failure import ToolFailure
from spanhouse_runtime.tool_rules import check_tool
from spanhouse_runtime.traits import UNDO_SECONDS, Action, BlastRadius, Reversible, ToolTraits

__all__ = ["CheckedCall", "Function", "InvalidCall", "KeyFunction", "Tool", "ToolFailure", "Toolbox", "tool"]

Function = Callable[..., Any]
KeyFunction = Callable[[Mapping[str, Any]], str]
ResultScan = Literal["redact", "refuse", "pass"]


class InvalidCall(SpanhouseError):  # noqa: N818 - what happened
    """A call asks for a tool that does not exist, or with arguments that do not fit; the text is for the model.

    Attributes:
        hint: what the model may have meant.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


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
        action, reversible, blast_radius: what it does to the world; see ``ToolTraits``. Deleting and money are always
            asked about, sending where no policy rule allows it, an update is put on the review list.
        undo: takes an update back, given ``arguments`` and ``result`` (text); called by ``Agent.undo``.
        undo_seconds: how long an update stays on the review list.
        idempotent: a second equal call does no harm, so that one that failed may be made again.
        retries: how failed calls are made again; a number is that many attempts. Of tools that are not idempotent, do
            not only read and pass no idempotency key on, only a ``ToolFailure`` is tried again.
        isolate: run it in a process of its own, killed when its time is up; it must be at the top of a module.
        cache_seconds: how long an equal call is answered with the same result, within a tenant and environment; only
            for tools that read.
        fallback: error type -> the tool (or its name) that is called instead, with the same arguments. Of a tool that
            changes something, only where it says by ``ToolFailure`` that nothing was done.
        output: the type its result must fit; what does not is a failure.
        result_bytes: how much of a result reaches the model; None takes the run's limit.
        scan: what becomes of secrets in a result: cut out, the result withheld, or passed on.
        cost_usd: what a call costs, in dollars or made of its arguments.
        breaker: when it is left alone; None takes the defaults.
    """

    name: str
    description: str
    function: Function
    timeout_seconds: float | None = None
    polling: bool = False
    once: bool = False
    key: KeyFunction | None = None
    action: Action | str | None = None
    reversible: Reversible | str | None = None
    blast_radius: BlastRadius | str | None = None
    undo: Function | None = None
    undo_seconds: float = UNDO_SECONDS
    idempotent: bool = False
    retries: Retries | int | None = None
    isolate: bool = False
    cache_seconds: float = 0.0
    fallback: Mapping[ErrorType, Tool | str] = dataclasses.field(default_factory=dict, hash=False)
    output: Any = None
    result_bytes: int | None = None
    scan: ResultScan = "redact"
    cost_usd: Cost = 0.0
    breaker: BreakerSettings | None = None
    arguments: TypeAdapter[Any] = dataclasses.field(init=False, repr=False, compare=False)
    injected: Injected = dataclasses.field(init=False, repr=False, compare=False)
    retrying: Retries | None = dataclasses.field(init=False, repr=False, compare=False)
    traits: ToolTraits = dataclasses.field(init=False, repr=False, compare=False)
    result: TypeAdapter[Any] | None = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        put("traits", ToolTraits(self.action, self.reversible, self.blast_radius, self.undo_seconds))
        put("injected", injected_into(self.name, self.function))
        put("retrying", Retries(attempts=self.retries) if isinstance(self.retries, int) else self.retries)
        check_tool(self)
        put("arguments", arguments_of(self.name, self.function, self.injected.names))
        put("result", None if self.output is None else TypeAdapter(self.output))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
        """Call the function itself, unguarded: for its author's tests."""
        return self.function(*args, **kwargs)

    @property
    def definition(self) -> ToolDefinition:
        """The tool as a model sees it."""
        return ToolDefinition(self.name, self.description, self.arguments.json_schema())

    @property
    def repeatable(self) -> bool:
        """Whether a call that may have had its effect may be made again."""
        return self.idempotent or self.traits.action is Action.READ or bool(self.injected.key)

    @property
    def changes(self) -> bool:
        """Whether it is declared to change something beyond itself."""
        return self.once or self.traits.action not in {Action.READ, Action.DRAFT, None}

    @property
    def keyed(self) -> bool:
        """Whether its calls have an idempotency key."""
        return self.once or bool(self.injected.key)


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


class ToolSettings(TypedDict, total=False):
    """What ``tool`` takes beside the function; see ``Tool`` for the meaning of each."""

    name: str
    timeout_seconds: float | None
    polling: bool
    once: bool
    key: KeyFunction | None
    action: Action | str | None
    reversible: Reversible | str | None
    blast_radius: BlastRadius | str | None
    undo: Function | None
    undo_seconds: float
    idempotent: bool
    retries: Retries | int | None
    isolate: bool
    cache_seconds: float
    fallback: Mapping[ErrorType, Tool | str]
    output: Any
    result_bytes: int | None
    scan: ResultScan
    cost_usd: Cost
    breaker: BreakerSettings | None


@overload
def tool(function: Function, /, **settings: Unpack[ToolSettings]) -> Tool: ...


@overload
def tool(**settings: Unpack[ToolSettings]) -> Callable[[Function], Tool]: ...


def tool(function: Function | None = None, /, **settings: Unpack[ToolSettings]) -> Tool | Callable[[Function], Tool]:
    """Return a function as a tool; its name and the first paragraph of its docstring describe it to the model.

    ``tool(f, once=True)``, or as a decorator:

    >>> @tool(action="read", cache_seconds=60, retries=3)
    ... def exchange_rate(currency: str) -> float:
    ...     "What a euro is in another currency."
    ...     return 1.08
    >>> exchange_rate.definition.description
    'What a euro is in another currency.'

    Args:
        function: given by the first form.
        settings: see ``Tool``.

    Raises:
        ConfigurationError: it is no function or method, a parameter has no name to call it by or a type without a JSON
            schema, or settings contradict one another.
    """
    if function is None:
        return lambda bare: _made(bare, settings)
    return _made(function, settings)


class Toolbox:
    """The tools of one agent, by name, and those they fall back on, which the model does not see.

    Raises:
        ConfigurationError: two tools have one name, or one falls back on a tool that is not there or on itself.
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
        self._all = dict(self._tools)
        for made in self._tools.values():
            self._take_in(made, (made.name,))

    @property
    def names(self) -> Sequence[str]:
        """The tools' names, in the order they were given; those only fallen back on come last."""
        return tuple(self._all)

    @property
    def tools(self) -> Sequence[Tool]:
        """All tools, those only fallen back on too."""
        return tuple(self._all.values())

    def check(self, call: ToolCall) -> CheckedCall:
        """Return the call with its arguments checked against the tool's signature.

        Raises:
            InvalidCall: no such tool, or arguments that do not fit; says which and what would.
        """
        found = self._tools.get(call.name)
        if found is None:
            near = difflib.get_close_matches(call.name, self._tools, n=1)
            msg = f"there is no tool {call.name!r}; the tools are: {', '.join(self._tools) or 'none'}"
            raise InvalidCall(msg, f"did you mean {near[0]}?" if near else "")
        given = call.arguments
        if isinstance(given, str):
            try:
                given = json.loads(given or "{}", parse_constant=_no_number)
            except (ValueError, RecursionError) as problem:
                msg = f"the arguments of {call.name} are no valid JSON: {problem}"
                raise InvalidCall(msg) from None
        return fitted(found, call.id, given)

    def instead(self, kind: ErrorType, checked: CheckedCall) -> CheckedCall | None:
        """Return the call that is made instead of one that failed, or None where there is none or it does not fit."""
        named = checked.tool.fallback.get(kind)
        if named is None:
            return None
        other = self._all[named if isinstance(named, str) else named.name]
        try:
            return fitted(other, checked.call_id, checked.arguments)
        except InvalidCall:
            return None

    def _take_in(self, made: Tool, path: tuple[str, ...]) -> None:
        for other in made.fallback.values():
            name = other if isinstance(other, str) else other.name
            if name in path:
                msg = f"tool {path[0]!r} falls back on itself: {' -> '.join((*path, name))}"
                raise ConfigurationError(msg)
            if not isinstance(other, str) and self._all.setdefault(name, other) is not other:
                msg = f"two tools are called {name!r}: tool {made.name!r} falls back on one of them, rename it"
                raise ConfigurationError(msg)
            if name not in self._all:
                msg = f"tool {made.name!r} falls back on {name!r}, which is no tool here: {', '.join(self._all)}"
                raise ConfigurationError(msg)
            self._take_in(self._all[name], (*path, name))


def fitted(tool: Tool, call_id: str, given: Any) -> CheckedCall:  # noqa: ANN401 - what a model or person gave
    """Return a call of a tool with these arguments.

    Raises:
        InvalidCall: they do not fit; says which and what would.
    """
    if not isinstance(given, Mapping):
        msg = f"the arguments of {tool.name} must be a JSON object, not {type(given).__name__}"
        raise InvalidCall(msg)
    try:
        checked = tool.arguments.validate_python(dict(given))
    except ValidationError as problem:
        details = (_plain(error) for error in problem.errors(include_url=False, include_context=False))
        msg = f"the arguments of {tool.name} do not fit: {'; '.join(details)}"
        raise InvalidCall(msg) from None
    values = {field.name: getattr(checked, field.name) for field in dataclasses.fields(checked)}
    return CheckedCall(tool, call_id, tool.arguments.dump_python(checked, mode="json"), values)


def _made(function: Function, settings: ToolSettings) -> Tool:
    bare = _bare(function)
    if not inspect.isfunction(bare) and not inspect.ismethod(bare):
        msg = f"a tool must be a function or a method, not {bare!r}: wrap it in a function with named parameters"
        raise ConfigurationError(msg)
    given = dict(settings)
    name = given.pop("name", "") or bare.__name__
    description = (inspect.getdoc(bare) or "").split("\n\n")[0].replace("\n", " ")
    try:
        return Tool(name=str(name), description=description, function=bare, **given)  # type: ignore[arg-type]
    except TypeError as problem:
        msg = f"tool {name!r}: {str(problem).removeprefix('Tool.__init__() ')}"
        raise ConfigurationError(msg) from problem


def _bare(function: Function) -> Function:
    # What makes a span of its own is taken from under its decorator: the runtime makes the span.
    if inspect.ismethod(function):
        return types.MethodType(inspect.unwrap(function.__func__), function.__self__)
    bare: Function = inspect.unwrap(function)
    return bare


def _no_number(text: str) -> NoReturn:
    msg = f"{text} is no number of JSON"
    raise ValueError(msg)


def _plain(error: Any) -> str:  # noqa: ANN401 - pydantic's error details
    return f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
