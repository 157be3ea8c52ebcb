"""What is shipped for an installation of several processes fits together and fits the program."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml
from benchmarks.capacity import plan

from spanhouse_server import settings
from spanhouse_server.cli.commands import cli

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]


def test_there_are_collectors_a_server_and_what_they_need() -> None:
    assert set(SERVICES) == {"keeper", "clickhouse", "postgres", "collector-1", "collector-2", "server"}
    assert OURS == ["collector-1", "collector-2", "server"]


@pytest.mark.parametrize("name", OURS)
def test_every_command_and_setting_exists(name: str) -> None:
    program, command, *flags = SERVICES[name]["command"]
    assert (program, command) in {("spanhouse", "collector"), ("spanhouse", "server")}
    assert command in cli.commands
    known = {row.flag for row in settings.table()}
    assert {flag for flag in flags if flag.startswith("--")} <= known
    assert set(SERVICES[name]["environment"]) <= {row.env for row in settings.table()}


def test_no_two_processes_have_one_number_or_one_volume() -> None:
    numbers = [SERVICES[name]["command"][-1] for name in OURS]
    volumes = [volume.split(":")[0] for name in OURS for volume in SERVICES[name]["volumes"]]
    assert len(set(numbers)) == len(set(volumes)) == len(OURS)


def test_every_volume_and_dependency_is_there_and_files_exist() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] if not source.startswith("./") else (ROOT / source).is_file()
        assert set(service.get("depends_on", [])) <= set(SERVICES)


def test_ports_are_published_on_loopback_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_cluster_named_is_the_cluster_defined() -> None:
    config = ET.parse(ROOT / "deploy/clickhouse/cluster.xml").getroot()
    clusters = config.find("remote_servers")
    assert clusters is not None
    environment = SERVICES["server"]["environment"]
    assert [each.tag for each in clusters] == [environment["SPANHOUSE_STORE_CLUSTER"]]
    assert [each.text for each in clusters.iter("internal_replication")] == ["true"]
    macros = config.find("macros")
    assert macros is not None
    assert {each.tag for each in macros} == {"shard", "replica"}
    assert ET.parse(ROOT / "deploy/clickhouse/keeper.xml").getroot().find("keeper_server") is not None


@pytest.mark.parametrize(("spans", "row"), [(1e9, "| 1 bill"), (1e10, "| 10 bill"), (1e11, "| 100 bill")])
def test_the_capacity_table_is_what_the_calculation_gives(spans: float, row: str) -> None:
    """Of the bytes per span that the page says were measured."""
    said = (ROOT / "docs/capacity.md").read_text()
    line = next(each for each in said.splitlines() if each.startswith(row))
    figures = [float(cell.replace(",", "")) for cell in line.split("|")[2:-1]]
    computed = list(plan(spans, 318).values())
    assert figures == pytest.approx(computed, rel=0.06)
