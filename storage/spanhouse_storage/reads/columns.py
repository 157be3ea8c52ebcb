"""What each field of the filter language is in the store: an expression over the columns of ``runs`` or ``spans``.

Fields that are a column of their own name are not listed. ``@`` stands for the prefix of the table's columns.
"""

from __future__ import annotations

from typing import Final

RUN_EXPRESSIONS: Final = {
    "tokens": "if(isNull(@input_tokens) AND isNull(@output_tokens), NULL, "
    "ifNull(@input_tokens, 0) + ifNull(@output_tokens, 0))",
    "model": "arrayPushBack(@models, @model)",
}

SPAN_EXPRESSIONS: Final = {
    "model": "if(response_model != '', response_model, request_model)",
    # A record written when a span began has no end yet.
    "end": "if(is_final, end, NULL)",
    "ms": "if(is_final, duration_ns / 1e6, NULL)",
    "input_bytes": "length(input)",
    "output_bytes": "length(output)",
}

RUN_SEARCHED: Final = ("task", "input_preview", "output_preview", "error_message", "name")
SPAN_WORDS: Final = (
    r"lowerUTF8(concat(output, '\n', status_message, '\n', "
    "if(span_class = 'llm' AND parent_span_id != '', '', input)))"
)
"""What ``text`` is looked for in; the index ``by_words`` is over this very expression."""

FIGURE_EXPRESSIONS: Final = {
    "calls": "countIf(status != 'denied')",
    "errors": "countIf(status = 'error')",
    "denials": "countIf(status = 'denied')",
    "seconds": "sumIf(ms, status != 'denied') / 1000",
}
"""Figures of a run's calls of one tool, over its rows of ``steps``."""
