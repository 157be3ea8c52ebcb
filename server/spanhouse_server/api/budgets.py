"""``/api/v1/budgets``: what is left of the budgets that agents share."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from spanhouse.errors import ConfigurationError
from spanhouse_runtime.budgets import BudgetStore, load_budgets
from spanhouse_runtime.budgets.listing import Use, of_tenants
from spanhouse_server.api.answers import answer
from spanhouse_server.api.problems import Problem
from spanhouse_server.keys.gate import access_of
from spanhouse_server.parts import whole
from spanhouse_server.settings import Settings

router = APIRouter(prefix="/api/v1/budgets", tags=["control"])


@router.get("")
def listed(
    request: Request,
    every: Annotated[bool, Query(alias="all", description="Those of requests, runs and past days too")] = False,
    tenant: Annotated[str | None, Query(description="Only this tenant's")] = None,
) -> Response:
    """Return limit, use and what is held back of every shared budget that was drawn on, the fullest first.

    Budgets that all tenants share, and those of runs, are shown to who may see all tenants.
    """
    rows = of_tenants(_uses(whole(request).settings, every=every), access_of(request).tenants)
    return answer(request, "budgets", [row.as_json() for row in rows if tenant in {None, row.holder.tenant}])


def _uses(settings: Settings, *, every: bool) -> list[Use]:
    if not settings.budget_store:
        detail = "the server was not told where agents keep them: set SPANHOUSE_BUDGET_STORE to its SQLAlchemy URL"
        raise Problem(HTTPStatus.NOT_FOUND, "No budgets are known", detail)
    try:
        store = BudgetStore(settings.budget_store, load_budgets(settings.budgets_file))
        try:
            return store.uses(every=every)
        finally:
            store.close()
    except ConfigurationError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The budgets file cannot be used", str(error)) from error
    except SQLAlchemyError as error:
        # The driver's words may hold the URL with its password.
        kind = type(error).__name__
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The budgets cannot be read", f"their store: {kind}") from error
