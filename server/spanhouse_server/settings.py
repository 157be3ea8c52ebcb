"""Every setting of the server once: its name, environment variable, default and meaning.

The table feeds the flags of ``spanhouse up``, the environment, ``spanhouse.toml`` and docs/settings.md.
A flag wins over the environment, the environment over the file, the file over the default.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from spanhouse.errors import ConfigurationError
from spanhouse_server.keys.auth import Auth

SIZE_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
LOG_LEVELS = ("debug", "info", "warning", "error")
MOST_COLLECTORS = 255
AGE_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(text: str) -> int:
    """Return a number of bytes from text such as ``64MiB``."""
    match = re.fullmatch(r"\s*(\d+)\s*([A-Za-z]*)\s*", text)
    if not match or match[2] not in SIZE_UNITS:
        msg = f"{text!r} is no size: write a whole number and one of {', '.join(u for u in SIZE_UNITS if u)}"
        raise ValueError(msg)
    return int(match[1]) * SIZE_UNITS[match[2]]


def parse_age(text: str) -> float:
    """Return a number of seconds from text such as ``30m`` or ``90``."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", text)
    if not match:
        msg = f"{text!r} is no length of time: write a number and s, m, h or d"
        raise ValueError(msg)
    return float(match[1]) * AGE_UNITS[match[2] or "s"]


def parse_switch(text: str) -> bool:
    """Return the truth of ``true``/``false``, ``yes``/``no``, ``on``/``off``, ``1``/``0``."""
    lowered = text.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off", ""}:
        return False
    msg = f"{text!r} is no switch: write true or false"
    raise ValueError(msg)


def parse_address(text: str) -> str:
    """Return ``host:port`` as given, or raise where it has no port between 0 and 65535."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 - the largest port there is
        msg = f"{text!r} is no address: write host:port, for example 127.0.0.1:4318"
        raise ValueError(msg)
    return text


def parse_optional_address(text: str) -> str:
    """Return ``host:port`` as given, or empty text for none."""
    return parse_address(text) if text.strip() else ""


def parse_log_level(text: str) -> str:
    """Return a log level's name in small letters."""
    level = text.strip().lower()
    if level not in LOG_LEVELS:
        msg = f"{text!r} is no log level: write {', '.join(LOG_LEVELS)}"
        raise ValueError(msg)
    return level


def host_of(address: str) -> str:
    """Return the host of ``host:port``, without brackets."""
    return address.rpartition(":")[0].strip("[]")


def is_loopback(host: str) -> bool:
    """Return whether a host name or address, without port and brackets, means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_auth(text: str) -> Auth:
    """Return whether keys are asked for."""
    try:
        return Auth(text.strip().lower())
    except ValueError:
        msg = f"{text!r} is no choice: write {', '.join(Auth)}"
        raise ValueError(msg) from None


def parse_count(text: str) -> int:
    """Return a whole number, 1 or more."""
    if not text.strip().isdigit() or int(text) < 1:
        msg = f"{text!r} is no count: write a whole number, 1 or more"
        raise ValueError(msg)
    return int(text)


class Role(StrEnum):
    """What a process of several does."""

    ALL = "all"
    COLLECTOR = "collector"
    SERVER = "server"


def parse_role(text: str) -> Role:
    """Return what a process does."""
    try:
        return Role(text.strip().lower())
    except ValueError:
        msg = f"{text!r} is no role: write {', '.join(Role)}"
        raise ValueError(msg) from None


def parse_cluster(text: str) -> str:
    """Return a cluster's name, empty for none."""
    if text and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", text):
        msg = f"{text!r} is no cluster's name: write letters, digits, _ and -"
        raise ValueError(msg)
    return text


def parse_collector(text: str) -> int:
    """Return a collector's number."""
    if not text.strip().isdigit() or int(text) > MOST_COLLECTORS:
        msg = f"{text!r} is no collector's number: write a whole number from 0 to {MOST_COLLECTORS}"
        raise ValueError(msg)
    return int(text)


def parse_rate(text: str) -> float:
    """Return a number a second, 0 or more."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*", text)
    if not match:
        msg = f"{text!r} is no rate: write a number, 0 or more"
        raise ValueError(msg)
    return float(match[1])


def _setting(env: str, default: str, parse: Callable[[str], Any], meaning: str) -> Any:  # noqa: ANN401 - a dataclass field
    metadata = {"env": env, "default": default, "parse": parse, "meaning": meaning}
    return field(default_factory=lambda: parse(default), metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The server's settings, each with its parsed value."""

    data: str = _setting("SPANHOUSE_DATA", "~/.spanhouse", str, "Directory of everything the server keeps")
    store: str = _setting(
        "SPANHOUSE_STORE",
        "",
        str,
        "A directory (embedded store) or clickhouse://user:pass@host:8123/db; empty: DATA/store",
    )
    state: str = _setting(
        "SPANHOUSE_STATE", "", str, "SQLAlchemy URL of control flags, alert state and outbox; empty: SQLite in DATA"
    )
    store_cluster: str = _setting(
        "SPANHOUSE_STORE_CLUSTER",
        "",
        parse_cluster,
        "Name of the ClickHouse cluster that holds the store's tables, replicated and sharded; empty: one server",
    )
    role: str = _setting(
        "SPANHOUSE_ROLE",
        "all",
        parse_role,
        "What this process does: all, collector (takes OTLP alone), or server (the API, the dashboards and the jobs)",
    )
    collector: int = _setting(
        "SPANHOUSE_COLLECTOR",
        "0",
        parse_collector,
        "Number of this process among those that write to one store, 0 to 255; no two may have the same",
    )
    erasure_window: float = _setting(
        "SPANHOUSE_ERASURE_WINDOW",
        "30d",
        parse_age,
        "Time after a deletion during which records of the deleted that arrive late are refused",
    )
    http: str = _setting(
        "SPANHOUSE_HTTP", "127.0.0.1:4318", parse_address, "Address of OTLP over HTTP, the API and the UI"
    )
    grpc: str = _setting(
        "SPANHOUSE_GRPC", "127.0.0.1:4317", parse_optional_address, "Address of OTLP over gRPC; empty: none"
    )
    allow_remote: bool = _setting(
        "SPANHOUSE_ALLOW_REMOTE",
        "false",
        parse_switch,
        "Serve beyond loopback although no key is asked for: something else guards it",
    )
    auth: str = _setting(
        "SPANHOUSE_AUTH",
        "auto",
        parse_auth,
        "Ask for API keys: auto (from the first key made), on, or off",
    )
    tenant_rate: float = _setting(
        "SPANHOUSE_TENANT_RATE",
        "0",
        parse_rate,
        "Spans, log records and data points a second that a tenant's keys may send; 0 for no limit",
    )
    tenant_bytes: int = _setting(
        "SPANHOUSE_TENANT_BYTES", "0", parse_size, "Bytes a second that a tenant's keys may send; 0 for no limit"
    )
    ui: bool = _setting("SPANHOUSE_UI", "true", parse_switch, "Serve the dashboards at /ui")
    rules: str = _setting(
        "SPANHOUSE_RULES", "", str, "YAML file of alert rules; empty: DATA/rules.yaml, else the rules that ship"
    )
    policy: str = _setting(
        "SPANHOUSE_POLICY",
        "",
        str,
        "YAML file of what tenants want redacted and captured; empty: DATA/policy.yaml",
    )
    budgets: str = _setting(
        "SPANHOUSE_BUDGETS",
        "",
        str,
        "YAML file of the budgets agents share, to show what is left; empty: DATA/budgets.yaml",
    )
    budget_store: str = _setting(
        "SPANHOUSE_BUDGET_STORE", "", str, "SQLAlchemy URL of the budgets agents share; empty: none is shown"
    )
    max_body: int = _setting(
        "SPANHOUSE_MAX_BODY", "64MiB", parse_size, "Largest OTLP body, before and after decompression"
    )
    journal_limit: int = _setting(
        "SPANHOUSE_JOURNAL_LIMIT", "4GiB", parse_size, "Journal size at which senders are told to come back later"
    )
    ready_grace: float = _setting(
        "SPANHOUSE_READY_GRACE", "30s", parse_age, "Time the store may be away before /readyz answers 503"
    )
    run_lease: float = _setting(
        "SPANHOUSE_RUN_LEASE", "30m", parse_age, "Time without a sign of life after which a run counts as abandoned"
    )
    query_seconds: float = _setting(
        "SPANHOUSE_QUERY_SECONDS", "60s", parse_age, "Time each query of a request to the API may run"
    )
    query_memory: int = _setting(
        "SPANHOUSE_QUERY_MEMORY", "2GiB", parse_size, "Memory each query of a request to the API may take"
    )
    query_rows: int = _setting(
        "SPANHOUSE_QUERY_ROWS", "2000000000", parse_count, "Rows each query of a request to the API may read"
    )
    sql_http: str = _setting(
        "SPANHOUSE_SQL_HTTP",
        "",
        parse_optional_address,
        "Address of ClickHouse's HTTP protocol for Grafana and notebooks, 127.0.0.1:8123 for example; empty: none",
    )
    sql_seconds: float = _setting("SPANHOUSE_SQL_SECONDS", "30s", parse_age, "Time a statement of SQL may run")
    sql_memory: int = _setting("SPANHOUSE_SQL_MEMORY", "512MiB", parse_size, "Memory a statement of SQL may take")
    sql_rows: int = _setting("SPANHOUSE_SQL_ROWS", "100000", parse_count, "Rows a statement of SQL may answer with")
    sql_bytes: int = _setting("SPANHOUSE_SQL_BYTES", "64MiB", parse_size, "Bytes a statement of SQL may answer with")
    sql_at_once: int = _setting("SPANHOUSE_SQL_AT_ONCE", "2", parse_count, "Statements of SQL that run side by side")
    sampling_delay: float = _setting(
        "SPANHOUSE_SAMPLING_DELAY", "30s", parse_age, "Time the spans of a run stay after it was sampled out"
    )
    audit_key: str = _setting(
        "SPANHOUSE_AUDIT_KEY",
        "",
        str,
        "File of the key that signs audit checkpoints; empty: DATA/audit.key",
    )
    audit_anchor: str = _setting(
        "SPANHOUSE_AUDIT_ANCHOR",
        "",
        str,
        "Directory elsewhere, another disk or host, into which checkpoints of the audit trail are copied; empty: none",
    )
    log_level: str = _setting("SPANHOUSE_LOG_LEVEL", "info", parse_log_level, "debug, info, warning or error")

    @property
    def data_dir(self) -> Path:
        """The data directory with ``~`` resolved."""
        return Path(self.data).expanduser()

    @property
    def audit_key_file(self) -> Path:
        """The file of the key that signs checkpoints."""
        return Path(self.audit_key).expanduser() if self.audit_key else self.data_dir / "audit.key"

    @property
    def budgets_file(self) -> Path:
        """The file of the budgets that agents share."""
        return Path(self.budgets).expanduser() if self.budgets else self.data_dir / "budgets.yaml"

    @property
    def checkpoint_dirs(self) -> list[Path]:
        """Where checkpoints are copied: beside the data, and to the anchor where there is one."""
        named = [Path(self.audit_anchor).expanduser()] if self.audit_anchor else []
        return [self.data_dir / "audit" / "checkpoints", *named]

    @property
    def store_url(self) -> str:
        """What ``open_store`` takes: the store's directory or ClickHouse URL."""
        return self.store or str(self.data_dir / "store")

    @property
    def state_url(self) -> str:
        """What ``open_state`` takes: a file, or a SQLAlchemy URL."""
        return self.state or str(self.data_dir / "state.db")

    @property
    def host(self) -> str:
        """The host part of the HTTP address, without brackets."""
        return host_of(self.http)

    @property
    def port(self) -> int:
        """The port part of the HTTP address."""
        return int(self.http.rpartition(":")[2])

    @property
    def url(self) -> str:
        """The URL a client on this machine uses."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


@dataclass(frozen=True)
class Row:
    """One line of the settings table."""

    name: str
    flag: str
    env: str
    default: str
    meaning: str
    is_switch: bool


def table() -> list[Row]:
    """Return the settings table in the order it is documented."""
    return [
        Row(
            f.name,
            "--" + f.name.replace("_", "-"),
            f.metadata["env"],
            f.metadata["default"],
            f.metadata["meaning"],
            f.metadata["parse"] is parse_switch,
        )
        for f in fields(Settings)
    ]


def load(
    flags: Mapping[str, str | None] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Return the settings from flags, environment and ``spanhouse.toml``, in that order of strength.

    Args:
        flags: values by setting name; None means not given.
        environ: the environment; the process's own by default.
        file: the TOML file; ``spanhouse.toml`` in the working directory by default, which may be absent.

    Raises:
        ConfigurationError: a value cannot be read, or the file names a setting that does not exist.
    """
    environ = os.environ if environ is None else environ
    flags = flags or {}
    from_file = _read_file(file)
    values: dict[str, Any] = {}
    for f in fields(Settings):
        env = f.metadata["env"]
        sources = (
            (flags.get(f.name), "--" + f.name.replace("_", "-")),
            (environ.get(env), env),
            (from_file.get(f.name), f"{f.name} in spanhouse.toml"),
        )
        for raw, where in sources:
            if raw is None:
                continue
            try:
                values[f.name] = f.metadata["parse"](str(raw))
            except ValueError as error:
                msg = f"{where}: {error}"
                raise ConfigurationError(msg) from None
            break
    return Settings(**values)


def _read_file(file: Path | None) -> dict[str, Any]:
    path = file or Path("spanhouse.toml")
    if not path.exists():
        if file is None:
            return {}
        msg = f"settings file {path} does not exist"
        raise ConfigurationError(msg)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path} is not valid TOML: {error}"
        raise ConfigurationError(msg) from None
    except OSError as error:
        msg = f"settings file {path} cannot be read: {error.strerror}"
        raise ConfigurationError(msg) from None
    known = {f.name for f in fields(Settings)}
    unknown = sorted(set(content) - known)
    if unknown:
        msg = f"{path} has the unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}"
        raise ConfigurationError(msg)
    for name, value in content.items():
        if not isinstance(value, str | int | float):
            msg = f"{name} in {path} is a {type(value).__name__}: write one text, number or true/false"
            raise ConfigurationError(msg)
    return content
