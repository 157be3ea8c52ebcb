"""Notice a tool that fails the same way again and again."""

from __future__ import annotations


class Failures:
    """Counts, for each tool, the failures in a row with the same error."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[tuple[str, str], int]] = {}

    def failed(self, tool: str, error: str, message: str) -> int:
        """Return how often in a row the tool has now failed with this error; another error starts anew."""
        signature = (error, message)
        before, count = self._last.get(tool, (signature, 0))
        count = count + 1 if before == signature else 1
        self._last[tool] = (signature, count)
        return count

    def worked(self, tool: str) -> None:
        """Forget the tool's failures."""
        self._last.pop(tool, None)
