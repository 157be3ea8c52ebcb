"""What a function takes: arguments the model gives, checked against a schema, and parameters it never sees."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import ConfigDict, SecretStr, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

from spanhouse.errors import ConfigurationError
from spanhouse_runtime.credentials import Secret


class _Key:
    """Marks the parameter that is given the call's idempotency key."""


IdempotencyKey = Annotated[str, _Key()]
"""A parameter of this type is given the call's idempotency key, to be passed on to a service that honours it."""


@dataclass(frozen=True, slots=True)
class Injected:
    """The parameters of a function that the runtime fills in.

    Attributes:
        secrets: parameter -> the name of its credential.
        wrapped: those of them that take a ``pydantic.SecretStr``.
        key: the parameter for the idempotency key; empty where there is none.
    """

    secrets: Mapping[str, str]
    wrapped: frozenset[str]
    key: str

    @property
    def names(self) -> frozenset[str]:
        """All of the parameters."""
        return frozenset({*self.secrets, *({self.key} if self.key else set())})

    def values(self, secrets: Mapping[str, str], key: str) -> dict[str, Any]:
        """Return what the parameters are given, ``secrets`` by the credential's name."""
        given: dict[str, Any] = {
            parameter: SecretStr(secrets[name]) if parameter in self.wrapped else secrets[name]
            for parameter, name in self.secrets.items()
        }
        return {**given, self.key: key} if self.key else given


NOTHING: Final = Injected({}, frozenset(), "")


def injected_into(name: str, function: Callable[..., Any]) -> Injected:
    """Return the parameters of a function that are not the model's."""
    secrets: dict[str, str] = {}
    wrapped: set[str] = set()
    key = ""
    for parameter, hint in _hints(name, function).items():
        for mark in getattr(hint, "__metadata__", ()):
            if isinstance(mark, Secret):
                secrets[parameter] = mark.name
                if hint.__origin__ is SecretStr:
                    wrapped.add(parameter)
            elif isinstance(mark, _Key):
                key = parameter
    return Injected(secrets, frozenset(wrapped), key) if secrets or key else NOTHING


def arguments_of(name: str, function: Callable[..., Any], besides: frozenset[str]) -> TypeAdapter[Any]:
    """Return what checks the arguments of a function, leaving out the parameters named ``besides``.

    Raises:
        ConfigurationError: a parameter has no name to call it by, or a type without a JSON schema.
    """
    hints = _hints(name, function)
    fields: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in besides:
            continue
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
    shape.__pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)  # type: ignore[attr-defined]
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(shape)
        adapter.json_schema()
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema) as problem:
        msg = f"tool {name!r}: a parameter's type has no JSON schema: {problem}"
        raise ConfigurationError(msg) from problem
    return adapter


def _hints(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as problem:
        msg = f"tool {name!r}: {problem}; types of parameters must be importable where the function is defined"
        raise ConfigurationError(msg) from problem


def _maker(default: Any) -> Callable[[], Any]:  # noqa: ANN401 - any default value
    return lambda: copy.deepcopy(default)
