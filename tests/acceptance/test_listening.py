"""Killed listeners and killed MCP servers: real processes, and no event that a mission awaits is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import watchers
from tests.acceptance.processes import until
from tests.acceptance.system import System
from tests.resource_server import ResourceServer

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]
WAITS = "select waits_for from missions_mission where uid = %s"
SIGNALS = "select count(*) from missions_signal"


@pytest.fixture
def system(site: System) -> Iterator[System]:
    """The module's system, whose web server and workers know the missions that wait."""
    yield site
    site.close()


@pytest.fixture(params=["", "--legacy"], ids=["modern", "legacy"])
def server(request: pytest.FixtureRequest, site: System, tmp_path: Path) -> Iterator[ResourceServer]:
    (tmp_path / "states").mkdir()
    (tmp_path / "states" / "order").write_text("ordered")
    made = ResourceServer(tmp_path / "states", *filter(None, [request.param]))
    site.environment["MISSIONS_MCP_SERVERS"] = watchers.catalogue(tmp_path, made.url)
    yield made
    made.kill()


def waiting(system: System, server: ResourceServer) -> str:
    """The id of a mission that waits, and is listened for."""
    uid = system.person("admin").start(watchers.TYPE, {})
    until("it waits", 30, lambda: str(system.database.value(WAITS, uid)).startswith("mcp:"))
    until("somebody listens", 30, lambda: server.listeners() > 0)
    return uid


def told(system: System, uid: str) -> str:
    """What the mission was told in the end."""
    admin = system.person("admin")
    found = until("the mission ends", 30, lambda: (one := admin.mission(uid))["verdict"] and one)
    return str(found["verdict"]["data"]["contents"][0]["text"])


def test_a_killed_listener_loses_no_event_and_another_worker_takes_over(
    system: System, server: ResourceServer
) -> None:
    listening = system.start_worker()
    uid = waiting(system, server)
    before = int(system.database.value(SIGNALS))
    system.start_worker()
    server.write("order", "paid")  # nobody is told
    listening.kill()
    assert told(system, uid) == "paid"
    assert int(system.database.value(SIGNALS)) == before + 1


def test_killed_listener_and_killed_server_together_lose_no_event(system: System, server: ResourceServer) -> None:
    listening = system.start_worker()
    uid = waiting(system, server)
    server.kill()
    listening.kill()
    server.write("order", "sent")
    system.start_worker()
    server.start()
    assert told(system, uid) == "sent"
