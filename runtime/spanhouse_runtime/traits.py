"""What a tool declares of itself: what it does to the world, whether that can be undone, how far it reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Final

from spanhouse.errors import ConfigurationError

UNDO_SECONDS: Final = 86_400.0
"""How long an update stays on the review list, where its tool says nothing else."""


class Action(StrEnum):
    """What a tool does to the world, from the mildest to the gravest."""

    READ = "read"
    DRAFT = "draft"
    UPDATE = "update"
    SEND = "send"
    DELETE = "delete"
    MONEY = "money"


class Reversible(StrEnum):
    """Whether what a tool did can be taken back."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"


class BlastRadius(StrEnum):
    """How much one wrong call can spoil."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    VERY_HIGH = "very_high"


class Care(StrEnum):
    """What is done about a call because of its tool's traits, where no policy rule says more; the last is strongest."""

    NONE = "none"
    """Nothing: reading, or nothing is declared."""
    OPTIONAL = "optional"
    """Nothing either: a draft has an effect only once a person takes it up."""
    REVIEW = "review"
    """It is done, and put on the review list."""
    ASK = "ask"
    """A person is asked, unless a policy rule allows the call by name."""
    ALWAYS_ASK = "always_ask"
    """A person is asked, whatever a policy allows."""


_OF_ACTION: Final = {
    Action.READ: Care.NONE,
    Action.DRAFT: Care.OPTIONAL,
    Action.UPDATE: Care.REVIEW,
    Action.SEND: Care.ASK,
    Action.DELETE: Care.ALWAYS_ASK,
    Action.MONEY: Care.ALWAYS_ASK,
}
_ACTIONS: Final = tuple(Action)
_REVERSIBLE: Final = tuple(Reversible)
_RADII: Final = tuple(BlastRadius)
_CARES: Final = tuple(Care)
_MOST_KNOWN: Final = 1_000
_WIDE: Final = frozenset({BlastRadius.HIGH, BlastRadius.VERY_HIGH})


@dataclass(frozen=True)
class ToolTraits:
    """What a tool declares; None where it declares nothing.

    Attributes:
        action: what it does to the world.
        reversible: whether that can be taken back.
        blast_radius: how much one wrong call can spoil.
        undo_seconds: how long an update stays on the review list.

    >>> ToolTraits("money").care
    <Care.ALWAYS_ASK: 'always_ask'>
    >>> ToolTraits("update", reversible="no").care
    <Care.ASK: 'ask'>

    Raises:
        ConfigurationError: another word.
    """

    action: Action | str | None = None
    reversible: Reversible | str | None = None
    blast_radius: BlastRadius | str | None = None
    undo_seconds: float = UNDO_SECONDS

    def __post_init__(self) -> None:
        for name, kind in (("action", Action), ("reversible", Reversible), ("blast_radius", BlastRadius)):
            said = getattr(self, name)
            try:
                object.__setattr__(self, name, None if said is None or said == "" else kind(said))
            except ValueError:
                msg = f"{name} cannot be {said!r}: it is one of {', '.join(kind)}"
                raise ConfigurationError(msg) from None
        if not self.undo_seconds > 0:
            msg = f"undo_seconds must be more than 0, not {self.undo_seconds!r}"
            raise ConfigurationError(msg)

    @cached_property
    def care(self) -> Care:
        """What is done about a call of the tool.

        The action says it; what cannot be taken back or reaches far is asked about, whatever the action.
        """
        care = Care.NONE if self.action is None else _OF_ACTION[Action(self.action)]
        grave = self.reversible is Reversible.NO or self.blast_radius in _WIDE
        return _stronger(care, Care.ASK) if grave else care

    def strictest(self, other: ToolTraits) -> ToolTraits:
        """Return the graver of each trait of two declarations of one tool."""
        return ToolTraits(
            _graver(self.action, other.action, _ACTIONS),
            _graver(self.reversible, other.reversible, _REVERSIBLE),
            _graver(self.blast_radius, other.blast_radius, _RADII),
            min(self.undo_seconds, other.undo_seconds),
        )

    def words(self) -> str:
        """Return the traits for a person to read; empty where there are none."""
        parts = [f"action {self.action}"] if self.action else []
        parts += [f"reversible: {self.reversible}"] if self.reversible else []
        parts += [f"blast radius {self.blast_radius.replace('_', ' ')}"] if self.blast_radius else []
        return ", ".join(parts)


UNDECLARED: Final = ToolTraits()


class TraitsByTool:
    """The traits of tools by glob over their names; where several match, the gravest of each trait holds.

    Args:
        by_tool: glob over the tool's name -> its traits.
    """

    def __init__(self, by_tool: Mapping[str, ToolTraits] | None = None) -> None:
        self._by_tool = dict(by_tool or {})
        self._known: dict[tuple[str, str], ToolTraits] = {}

    def of(self, tool: str, action: str = "") -> ToolTraits:
        """Return the traits of a tool, with the action a call itself declares."""
        if not self._by_tool and not action:
            return UNDECLARED
        if (known := self._known.get((tool, action))) is not None:
            return known
        found = ToolTraits(action) if action else UNDECLARED
        matching = [traits for glob, traits in self._by_tool.items() if fnmatchcase(tool, glob)]
        for traits in matching:
            found = traits.strictest(found)
        # Names come from models too, and a model may make up any number of them.
        if len(self._known) < _MOST_KNOWN:
            self._known[tool, action] = found
        return found


def _stronger(one: Care, other: Care) -> Care:
    return max(one, other, key=_CARES.index)


def _graver(one: str | None, other: str | None, order: tuple[str, ...]) -> str | None:
    said = [word for word in (one, other) if word is not None]
    return max(said, key=order.index) if said else None
