"""``/api/v1/tools``: the tools agents called, with their error rates and times."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from spanhouse_analysis import figures
from spanhouse_analysis.tools import tools
from spanhouse_server.api.answers import answer
from spanhouse_server.api.filters import run_filter
from spanhouse_server.parts import parts_of
from spanhouse_storage.reads import RunFilter

router = APIRouter(prefix="/api/v1/tools", tags=["metrics"])


@router.get("")
def listed(request: Request, chosen: Annotated[RunFilter, Depends(run_filter)]) -> Response:
    """Return the tools of the runs that match, most called first."""
    return answer(request, "tools", tools(parts_of(request).store, chosen), figures.TOOLS)
