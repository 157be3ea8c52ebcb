"""Answers of the server as tables: Polars, pandas or Arrow, typed, whole.

Needs the extra ``client`` (polars and pyarrow), and pandas where pandas frames are wanted; each is imported when it is
first used, so that an agent carries none of them.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import requests
import urllib3

from spanhouse.errors import ConfigurationError, ServerError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

ARROW: Final = "application/vnd.apache.arrow.stream"
PAGE: Final = 1000
"""Rows asked for at a time where a list has no stream of its own."""
EXPORT_SECONDS: Final = 120.0
"""How long the server may take to find the first rows."""
_SILENT_SECONDS: Final = 2.0

Progress = Callable[[int, int | None], None]
"""Told how many rows have come, and of how many where that is known."""

_BULK: Final = {"/api/v1/runs": "runs", "/api/v1/audit": "audit"}
_ORDER: Final = {
    "runs": [("started_at", "descending"), ("run_id", "descending")],
    "audit": [("time", "ascending"), ("stream", "ascending"), ("seq", "ascending")],
}
_PAGED: Final = ("limit", "cursor", "sort")


class Asks(Protocol):
    """What a table needs of a client."""

    url: str

    def ask(self, path: str, params: Mapping[str, Any], *, timeout: float | None = None) -> requests.Response:
        """Return the answer to a GET that wants Arrow, its body not yet read."""
        ...


class Answer(dict[str, Any]):
    """The server's JSON, as a dictionary, and all rows it is about as a frame.

    The dictionary is one page. `frame`, `pandas` and `arrow` follow all pages, unless ``limit`` or ``cursor`` was
    given: then they hold that page. Times are UTC, lists are lists, objects are JSON text, unknown is null; an empty
    answer has the same columns. ``by`` of metrics becomes columns.
    """

    def __init__(self, page: Mapping[str, Any], client: Asks, path: str, params: Mapping[str, Any]) -> None:
        super().__init__(page)
        self._client, self._path, self._params = client, path, dict(params)

    def frame(self, *, progress: Progress | bool | None = None) -> pl.DataFrame:
        """Return a Polars frame.

        Args:
            progress: called with rows so far and rows in all; True and False: print it to standard error or not;
                None: print it where a person is watching and it takes longer.

        Raises:
            ConfigurationError: Polars or pyarrow is not installed; the message says how to get it.
            ServerError: the server refused or broke off.
        """
        polars = _needed("polars")
        found: pl.DataFrame = polars.from_arrow(self.arrow(progress=progress))
        return found

    def pandas(self, *, progress: Progress | bool | None = None) -> Any:  # noqa: ANN401 - pandas has no types of its own
        """Return a pandas frame; see `frame`. A whole number that may be unknown is a float there."""
        _needed("pandas")
        return self.arrow(progress=progress).to_pandas()

    def arrow(self, *, progress: Progress | bool | None = None) -> pa.Table:
        """Return an Arrow table; see `frame`."""
        kind = _BULK.get(self._path)
        pages = any(self._params.get(name) is not None for name in _PAGED)
        with _Told(progress) as tell:
            if kind is not None and not pages:
                return _whole(self._client, kind, self._params, tell)
            return self._listed(tell)

    def _listed(self, tell: Progress) -> pa.Table:
        arrow = _needed("pyarrow")
        single = self._params.get("limit") is not None or self._params.get("cursor") is not None
        params = dict(self._params)
        if "next_cursor" in self and not single:
            params["limit"] = PAGE
        tables: list[pa.Table] = []
        while True:
            with open_arrow(self._client.ask(self._path, params)) as reader:
                tables.append(reader.read_all())
            tell(sum(table.num_rows for table in tables), None)
            cursor = json.loads((tables[-1].schema.metadata or {}).get(b"next_cursor", b"null"))
            if cursor is None or single:
                break
            params["cursor"] = cursor
        table = arrow.concat_tables([each.replace_schema_metadata(None) for each in tables])
        return _grouped(table, self._params.get("by")) if "group" in table.column_names else table


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of an export, and the cursor that continues after them."""

    rows: pa.RecordBatch
    cursor: str


class Export:
    """A bulk export under way: iterate over its batches, once; a context manager.

    Attributes:
        schema: the columns.
        said: what the server says of the whole: ``as_of``, ``since``, ``until``, ``expected``, ``version``.
        rows: rows that have come so far.
        done: whether the server said that these were all.
    """

    def __init__(self, client: Asks, kind: str, params: Mapping[str, Any]) -> None:
        _needed("pyarrow")
        self._url = client.url
        self._answer = client.ask(f"/api/v1/export/{kind}", params, timeout=EXPORT_SECONDS)
        self._reader = open_arrow(self._answer)
        self.schema: pa.Schema = self._reader.schema.remove_metadata()
        self.said = {key.decode(): json.loads(text) for key, text in self._reader.schema.metadata.items()}
        self.rows = 0
        self.done = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._answer.close()

    def __iter__(self) -> Iterator[Batch]:
        while True:
            try:
                rows, said = self._reader.read_next_batch_with_custom_metadata()
            except StopIteration:
                break
            except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
                raise self._broken() from error
            if said and said.get(b"done"):
                self.done = True
                return
            self.rows += rows.num_rows
            yield Batch(rows.replace_schema_metadata(None), said[b"cursor"].decode())
        raise self._broken()

    def _broken(self) -> ServerError:
        return ServerError(f"the export from {self._url} broke off after {self.rows:,} rows")


def open_arrow(answer: requests.Response) -> Any:  # noqa: ANN401 - pyarrow's reader
    """Return a reader of an answer's Arrow stream.

    Raises:
        ServerError: the answer is no such stream.
    """
    arrow = _needed("pyarrow.ipc")
    try:
        return arrow.open_stream(answer.raw)
    except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
        msg = f"{answer.url} answered {answer.status_code} without Arrow: is a Spanhouse server behind this URL?"
        raise ServerError(msg, status=answer.status_code) from error


def _whole(client: Asks, kind: str, params: Mapping[str, Any], tell: Progress) -> pa.Table:
    arrow = _needed("pyarrow")
    with Export(client, kind, params) as export:
        batches = []
        for batch in export:
            batches.append(batch.rows)
            tell(export.rows, export.said["expected"])
        return arrow.Table.from_batches(batches, export.schema).sort_by(_ORDER[kind])


def _grouped(table: pa.Table, by: str | Sequence[str] | None) -> pa.Table:
    """Return metric points with a column for each group in the place of the JSON text."""
    arrow = _needed("pyarrow")
    names = [] if by is None else by.split(",") if isinstance(by, str) else list(by)
    groups = [json.loads(text) for text in table.column("group").to_pylist()]
    at = table.column_names.index("group")
    table = table.remove_column(at)
    for number, name in enumerate(names):
        column = arrow.array([group.get(name) for group in groups], arrow.string())
        table = table.add_column(at + number, name, column)
    return table


def _needed(module: str) -> Any:  # noqa: ANN401 - a module
    try:
        return importlib.import_module(module)
    except ImportError as error:
        extra = 'pip install "spanhouse[client]"' + (" pandas" if module == "pandas" else "")
        msg = f"tables need {error.name or module}, which is not installed: {extra}"
        raise ConfigurationError(msg) from error


class _Told:
    """Gives whom to tell of progress, and ends the line that was printed."""

    def __init__(self, wanted: Progress | bool | None) -> None:  # noqa: FBT001 - the caller's own argument
        watched = sys.stderr.isatty() or "IPython" in sys.modules
        self._prints = wanted is True or (wanted is None and watched)
        self._own = wanted if callable(wanted) else None
        self._silent = 0.0 if wanted is True else _SILENT_SECONDS
        self._began = time.monotonic()
        self._printed = False

    def __enter__(self) -> Progress:
        return self._own or self._print

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._printed:
            sys.stderr.write("\n")

    def _print(self, rows: int, expected: int | None) -> None:
        if self._prints and time.monotonic() - self._began >= self._silent:
            of = f" of {expected:,}" if expected is not None else ""
            sys.stderr.write(f"\r{rows:,}{of} rows")
            sys.stderr.flush()
            self._printed = True
