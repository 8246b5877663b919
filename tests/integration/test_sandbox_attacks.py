"""Real attempts to escape, against the real kernel: all are contained; those that a measure stops succeed without it.

The attempts themselves stand in tests/escapes.py and run inside, all of one kind in one job.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from missions.sandbox import driver, selftest
from missions.sandbox.bubblewrap import BubblewrapDriver
from missions.sandbox.places import job_user
from tests import escapes, sandboxed

pytestmark = sandboxed.needs_bubblewrap
Escape = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def prey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the attempts are after: files, sockets and a process of this host, reachable by whoever is out."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("prey")
        shown, workspace = folder / "shown", tmp_path_factory.mktemp(hidden := f"hidden-{secrets.token_hex(8)}")
        in_tmp = Path(f"/tmp/prey-{secrets.token_hex(8)}")
        shown.mkdir()
        (shown / "escapes.py").write_bytes(Path(escapes.__file__).read_bytes())
        for file in (folder / "file", shown / "closed", in_tmp):
            file.write_text("prey")
        (shown / "closed").chmod(0o600)
        stack.callback(in_tmp.unlink)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        unix, abstract = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2))
        near = os.open(folder, os.O_PATH)
        unix.bind(f"/proc/self/fd/{near}/socket")
        os.close(near)
        name = f"prey-{secrets.token_hex(8)}"
        abstract.bind(f"\0{name}")
        for listener in (unix, abstract):
            listener.listen()
        user = job_user()
        victim = subprocess.Popen(["/bin/sleep", "600"], **({"user": user} if user else {}), env={})
        stack.callback(victim.wait)
        stack.callback(victim.kill)
        yield {
            "shown": str(shown), "workspace": str(workspace), "file": str(folder / "file"), "hidden": hidden,
            "closed": str(shown / "closed"), "in_tmp": in_tmp.name, "port": tcp.getsockname()[1],
            "socket": str(folder / "socket"), "abstract": name, "victim": victim.pid,
        }  # fmt: skip
        assert victim.poll() is None, "a job has killed a process of the host"


@pytest.fixture(scope="module")
def escape(prey: dict[str, Any]) -> Escape:
    def run(*groups: str, by: BubblewrapDriver | None = None, without: tuple[str, ...] = ()) -> dict[str, str]:
        python, readable = driver.interpreter()
        facts = json.dumps({**prey, "groups": groups, "without": without}).encode()
        done = sandboxed.run(
            python, "-IS", f"{prey['shown']}/escapes.py", by=by, stdin=facts, readable=(*readable, prey["shown"]),
            workspace=Path(prey["workspace"]),
        )  # fmt: skip
        assert done.code == 0, done
        said: dict[str, str] = json.loads(done.stdout)
        return said

    return run


@pytest.fixture(scope="module")
def said(escape: Escape) -> dict[str, str]:
    return escape(*escapes.GROUPS)


ROOT_ONLY = {"read a closed file in a folder that is shown"}  # jobs of an ordinary user run as that user


@pytest.mark.parametrize("attempt", [*escapes.FILES, *escapes.NETWORK, *escapes.KERNEL])
def test_attempt_is_contained(attempt: str, said: dict[str, str]) -> None:
    if attempt in ROOT_ONLY and os.geteuid() != 0:
        pytest.skip("only root has a user to give up")
    assert not said[attempt].startswith("DONE"), said[attempt]


@pytest.mark.parametrize("work", escapes.ORDINARY)
def test_ordinary_work_goes_on(work: str, said: dict[str, str]) -> None:
    assert said[work].startswith("DONE"), said[work]


WITHOUT = {
    "seccomp": {
        "open a netlink socket", "open a vsock socket", "open a vsock socket with high bits set", "trace a child",
        "add a key", "join a key ring", "change the personality",
        *({"call the kernel by 32-bit numbers"} & escapes.KERNEL.keys()),
    },
    "network": {"connect to a port of the host", "connect to an abstract socket of the host"},
    "scrub": {"read the environment of the first process"},
}  # fmt: skip
STOPS = "trace the first process"  # it would stand still, and the job with it
KINDS = {"seccomp": ("network", "kernel"), "network": ("network",), "scrub": ("files",), "drop": ("files",)}


@pytest.mark.parametrize("measure", WITHOUT)
def test_without_a_measure_what_it_stops_succeeds(measure: str, escape: Escape, tmp_path: Path) -> None:
    with sandboxed.supervised(tmp_path / "box", measure) as by:
        found = escape(*KINDS[measure], by=by, without=(STOPS,))
    succeeded = {attempt for attempt, outcome in found.items() if outcome.startswith("DONE")}
    assert succeeded >= WITHOUT[measure], WITHOUT[measure] - succeeded


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a user to give up")
def test_without_giving_up_root_a_job_reads_what_only_root_may(escape: Escape, tmp_path: Path) -> None:
    with sandboxed.supervised(tmp_path / "box", "drop") as by:
        found = escape("files", by=by)
    assert found["read a closed file in a folder that is shown"].startswith("DONE")


FINDS = {
    "seccomp": "syscalls", "cgroup": "memory", "scrub": "filesystem", "network": "network", "disk": "disk",
    "drop": "filesystem",
}  # fmt: skip


@pytest.mark.parametrize("measure", FINDS)
async def test_self_test_finds_a_measure_that_is_off(
    measure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    if measure in ("drop", "cgroup") and os.geteuid() != 0:
        pytest.skip("only root has a user to give up, and may make control groups here")
    settings.SANDBOX_MAY_LACK = []
    with (
        sandboxed.supervised(tmp_path / "box", measure) as by, sandboxed.chosen(by, monkeypatch)
    ):  # fmt: skip
        report = await selftest.examine()
        assert FINDS[measure] in report.missing, report.missing
        with pytest.raises(sandboxed.SandboxRefused, match=FINDS[measure]):
            await selftest.admit()


@sandboxed.needs_groups
async def test_self_test_finds_that_all_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sandboxed.supervised(tmp_path / "box") as by, sandboxed.chosen(by, monkeypatch):
        report = await selftest.admit()
    assert not report.missing and all(finding.contained for finding in report.findings)
    assert len(report.findings) >= 8 and sys.platform == "linux"
