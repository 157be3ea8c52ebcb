"""``spanhouse keys``: create, list, revoke, rotate. Needs the operator token, or a key that may manage keys."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click
from sqlalchemy import Engine

from spanhouse.errors import SpanhouseError
from spanhouse_server import settings as settings_module
from spanhouse_server.cli import base
from spanhouse_server.keys import table
from spanhouse_server.keys.rights import Role
from spanhouse_storage.state import open_state

F = TypeVar("F", bound=Callable[..., Any])


class Age(click.ParamType[float]):
    """A length of time such as 90d, as seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - click's
        """Return the seconds."""
        try:
            return settings_module.parse_age(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def keys() -> None:
    """Make, list, revoke and rotate API keys."""


def _where(command: F) -> F:
    """Add the options that say which server's keys are meant."""
    command = base.json_option(base.url_option(command))
    command = click.option(
        "--data",
        envvar="SPANHOUSE_DATA",
        default=None,
        help="The server's data directory, which holds the operator token.",
    )(command)
    return click.option(
        "--offline", is_flag=True, help="Work on the state of --data itself: for the first key, before the server runs."
    )(command)


@keys.command()
@click.option("--tenant", required=True, help="Tenants it speaks for, separated by commas; * for all.")
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]))
@click.option("--env", "environment", default="", help="Environment of records that name none themselves.")
@click.option("--name", default="", help="What it is for.")
@click.option("--expires", type=Age(), default=None, metavar="AGE", help="After which it ends, such as 90d.")
@_where
def create(
    tenant: str,
    role: str,
    environment: str,
    name: str,
    expires: float | None,
    url: str,
    data: str | None,
    *,
    offline: bool,
    as_json: bool,
) -> None:
    """Make a key and print it: it is shown this once and kept nowhere.

    \b
    Example:  spanhouse keys create --tenant acme --env prod --role ingest
    """
    if offline:
        with _state(data) as state:
            now = datetime.now(UTC)
            key, secret = table.create(
                state,
                tenants=table.tenants_of(tenant.split(",")),
                role=Role(role),
                environment=environment,
                name=name,
                created_by=_person(),
                expires_at=now + timedelta(seconds=expires) if expires else None,
                now=now,
            )
        answer = {"key": key.as_json(now), "secret": secret}
    else:
        api = base.client(url, operator=True, data=data)
        answer = base.call(
            lambda: api.create_key(tenant.split(","), role, environment=environment, name=name, expires_seconds=expires)
        )
    _tell(answer, as_json=as_json)


@keys.command("list")
@_where
def list_(url: str, data: str | None, *, offline: bool, as_json: bool) -> None:
    """List keys: id, role, tenants and times, never a secret.

    \b
    Example:  spanhouse keys list
    """
    if offline:
        with _state(data) as state:
            answer = {"keys": [key.as_json(datetime.now(UTC)) for key in table.all_keys(state)]}
    else:
        api = base.client(url, operator=True, data=data)
        answer = base.call(api.keys)
    if as_json:
        base.print_json(answer)
        return
    base.table(
        ["key", "state", "role", "tenants", "environment", "name", "created", "last used", "ends"],
        [
            [
                key["id"],
                key["state"],
                key["role"],
                key["tenants"],
                key["environment"],
                key["name"],
                base.when(key["created_at"]),
                base.when(key["last_used_at"]),
                base.when(key["revoked_at"] or key["expires_at"]),
            ]
            for key in answer["keys"]
        ],
    )
    if not answer["keys"]:
        click.echo("There is no key. Make one with: spanhouse keys create --tenant NAME --role ingest")


@keys.command()
@click.argument("key_id")
@_where
def revoke(key_id: str, url: str, data: str | None, *, offline: bool, as_json: bool) -> None:
    """End a key: refused by the server asked at once, by others on the same state within half a minute.

    \b
    Example:  spanhouse keys revoke k3x8p1qz
    """
    if offline:
        with _state(data) as state:
            now = datetime.now(UTC)
            answer = {"key": table.revoke(state, key_id, _person(), now).as_json(now)}
    else:
        api = base.client(url, operator=True, data=data)
        answer = base.call(lambda: api.revoke_key(key_id))
    if as_json:
        base.print_json(answer)
        return
    click.echo(f"key {answer['key']['id']} is revoked")


@keys.command()
@click.argument("key_id")
@click.option("--overlap", type=Age(), default="24h", show_default=True, help="How long the old key goes on working.")
@_where
def rotate(key_id: str, overlap: float, url: str, data: str | None, *, offline: bool, as_json: bool) -> None:
    """Make a key like another, which ends after the overlap.

    \b
    Example:  spanhouse keys rotate k3x8p1qz --overlap 1h
    """
    if offline:
        with _state(data) as state:
            now = datetime.now(UTC)
            old, new, secret = table.rotate(state, key_id, timedelta(seconds=overlap), _person(), now)
        answer = {"key": new.as_json(now), "secret": secret, "replaced": old.as_json(now)}
    else:
        api = base.client(url, operator=True, data=data)
        answer = base.call(lambda: api.rotate_key(key_id, overlap_seconds=overlap))
    _tell(answer, as_json=as_json)


@contextmanager
def _state(data: str | None) -> Iterator[Engine]:
    """Lend the state of the data directory; end with one sentence where something is wrong with what is asked."""
    try:
        settings = settings_module.load({"data": data})
        state = open_state(settings.state_url)
        try:
            yield state
        finally:
            state.dispose()
    except SpanhouseError as error:
        base.fail(str(error))


def _person() -> str:
    return f"{getpass.getuser()} (offline)"


def _tell(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        base.print_json(answer)
        return
    key = answer["key"]
    until = f" until {base.when(key['expires_at'])} UTC" if key["expires_at"] else ""
    tenants = ", ".join(base.clean(tenant) for tenant in key["tenants"])
    click.echo(f"key {key['id']} may {key['role']} for {tenants}{until}", err=True)
    if "replaced" in answer:
        replaced = answer["replaced"]
        click.echo(f"key {replaced['id']} goes on until {base.when(replaced['expires_at'])} UTC", err=True)
    click.echo("This is the only time it is shown:", err=True)
    click.echo(answer["secret"])
