"""The filter language over runs and their spans: text to a tree, a tree to canonical text, and what it can name.

>>> from spanhouse.filters import parse, written
>>> written(parse('cost>0.5 and stop_reason=max_usd'))
'cost_usd > 0.5 and stop_reason = max_usd'

The storage turns a tree into a condition of the store. Grammar and fields: ``docs/filters.md``.
"""

from __future__ import annotations

from spanhouse.filters.errors import FilterError
from spanhouse.filters.nodes import Node, all_of, mentions, resolved
from spanhouse.filters.parser import parse
from spanhouse.filters.simple import SIMPLE_FLAGS, SIMPLE_TEXTS, SIMPLE_WORDS, expression_of
from spanhouse.filters.writing import written

__all__ = [
    "SIMPLE_FLAGS",
    "SIMPLE_TEXTS",
    "SIMPLE_WORDS",
    "FilterError",
    "Node",
    "all_of",
    "expression_of",
    "mentions",
    "parse",
    "resolved",
    "written",
]
