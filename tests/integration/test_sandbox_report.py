"""What people are told of isolation: the health page, the API, the command line, and at `up`."""

from __future__ import annotations

import asyncio
import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from config import processes
from missions.models import SandboxCheck
from missions.sandbox import cgroups, driver, report, selftest, watching
from missions.sandbox.driver import NoDriver
from missions.sandbox.report import Report
from tests import sandboxed
from tests.web.rest import V1, client_of
from tests.web.visits import get

WHY = "bubblewrap is not installed. apt install bubblewrap"


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing isolates here."""
    monkeypatch.setattr(driver, "chosen", lambda: NoDriver(WHY))
    monkeypatch.setattr(selftest, "_known", None)


@pytest.mark.django_db
def test_health_says_what_holds_what_is_off_and_how_to_mend_it(audrey: User) -> None:
    assert "not tried yet" in get(audrey, "/health/")
    report.keep(Report(driver="bubblewrap", capabilities=frozenset({"filesystem"}), missing={"memory": "<why>"}))
    html = get(audrey, "/health/")
    assert "&lt;why&gt;" in html and "files of the host" in html and "holds" in html
    said = client_of(audrey).get(f"{V1}/health").json()["isolation"]
    assert (said["driver"], said["capabilities"]) == ("bubblewrap", ["filesystem"])
    assert said["missing"] == {"memory": "<why>"}


@pytest.mark.django_db
def test_command_refuses_with_what_is_missing_and_keeps_it(nothing: None) -> None:
    said = io.StringIO()
    with pytest.raises(CommandError, match="memory"):
        call_command("sandbox", "check", stdout=said)
    assert WHY in said.getvalue() and SandboxCheck.objects.get().missing["network"] == WHY


@sandboxed.needs_bubblewrap
@pytest.mark.django_db
def test_command_shows_each_attempt() -> None:
    said = io.StringIO()
    with contextlib.suppress(CommandError):  # an ordinary user lacks control groups
        call_command("sandbox", "check", stdout=said)
    assert "connects to this host" in said.getvalue()
    kept = SandboxCheck.objects.get()
    assert kept.driver == "bubblewrap" and len(kept.findings) >= 8


@pytest.mark.django_db(transaction=True)
def test_up_says_what_is_off_and_how_to_switch_it_on(nothing: None) -> None:
    told = asyncio.run(processes.isolation_told())
    assert SandboxCheck.objects.get().driver == "none"
    assert told.count(WHY) == 1 and "filesystem, network" in told


def test_up_runs_the_supervisor_where_there_is_something_to_supervise() -> None:
    facts: dict[str, Any] = {
        "manage": Path("manage.py"), "data": Path("/data"), "host": "::", "port": 1, "workers": 1, "drain": 1.0,
        "payments_port": None,
    }  # fmt: skip
    named = {program.name: program for program in processes.Plan(**facts).programs()}
    assert named["sandbox"].stage > named["worker-1"].stage and "/data/sandbox" in named["sandbox"].command
    assert "sandbox" not in {program.name for program in processes.Plan(**facts, isolates=False).programs()}


@pytest.mark.django_db(transaction=True)
def test_worker_records_what_it_finds_and_again_when_that_changes(nothing: None, monkeypatch: Any) -> None:
    monkeypatch.setattr(selftest, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(watching, "SETTLE_SECONDS", 0.01)
    found = [
        Report(driver="bubblewrap", missing={"memory": "no"}), Report(driver="bubblewrap", missing={"memory": "no"}),
        Report(driver="bubblewrap", capabilities=frozenset({"memory"})),
    ]  # fmt: skip
    kept: list[Report] = []

    async def known() -> Report:
        return found.pop(0)

    monkeypatch.setattr(selftest, "known", known)
    real = report.keep
    monkeypatch.setattr(report, "keep", lambda one: (kept.append(one), real(one)))
    asyncio.run(watching.keep_known())
    assert len(kept) == 2 and not found
    assert SandboxCheck.objects.get().capabilities == ["memory"]


def tree(folder: Path, controllers: str, *own: str) -> Path:
    """A folder that looks like a mounted control group tree of version 2."""
    for name in ("", *own):
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "cgroup.controllers").write_text(controllers)
        for file in ("cgroup.procs", "cgroup.subtree_control"):
            (place / file).write_text("")
    return folder


def test_groups_of_version_two_are_below_our_own_which_moves_aside(tmp_path: Path) -> None:
    root = tree(tmp_path / "cgroup", "cpu memory pids", "service")
    (tmp_path / "own").write_text("0::/service\n")
    found, missing = cgroups.find("abcd", root, str(tmp_path / "own"))
    assert (found.version, missing, set(found.folders.values())) == (2, {}, {root / "service"})
    assert (root / "service" / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    (aside,) = (root / "service").glob("standfast:*")
    assert (aside / "cgroup.procs").read_text()
    group = found.make(memory=1, pids=2)
    assert [place.parent for place in group.places] == [root / "service"]


def test_missing_controllers_are_named(tmp_path: Path) -> None:
    root = tree(tmp_path / "cgroup", "cpu pids")
    (tmp_path / "own").write_text("0::/\n")
    _, missing = cgroups.find("abcd", root, str(tmp_path / "own"))
    assert set(missing) == {"memory"}
    _, missing = cgroups.find("abcd", tmp_path / "nothing", str(tmp_path / "own"))
    assert set(missing) == {"memory", "pids", "cpu"}
