"""Workspaces: what a step left there is there later, also elsewhere; what was never recorded is not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from missions.authoring import Context, ResultUnusable, RetryPolicy, StepCall, StepFailed, ToolCall, Verdict, tool
from missions.engine import codec, history
from missions.engine.mailbox import deliver
from missions.models import BlobUse
from missions.storage import blobs, collect, local, manifests, sweep_local
from tests import live_worker
from tests.conftest import Clock
from tests.corners import allow, begin, define, lose, states

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _elsewhere(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


def write(call: StepCall, name: str, text: str, mode: int = 0o644) -> str:
    """Wrote a file."""
    path = call.workspace / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return name


def listed(call: StepCall) -> dict[str, list[Any]]:
    """Listed the files."""
    folder = call.workspace
    return {
        path.relative_to(folder).as_posix(): [path.read_text(), os.access(path, os.X_OK)]
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


async def carry(m: Context, request: dict[str, Any]) -> Verdict:
    await m.step("one", write, "a.txt", "one")
    await m.step("two", write, "deep/b.sh", "two", 0o755)
    await m.wait_for_signal("go", timeout=request["seconds"])
    await m.step("three", write, "a.txt", "three")
    kept = await m.artifact("a.txt", Path("a.txt"))
    files, text = await m.step("list", listed), (await m.read_artifact(kept)).decode()
    return Verdict("carried", data={"files": files, "kept": text})


@pytest.mark.parametrize("loss", ["nothing", "another host", "changed behind our back"])
def test_workspace_is_there_again_after_a_park(loss: str, clock: Clock) -> None:
    run = begin(define(f"carry-{loss}", carry), seconds=3600)
    with live_worker.worker():
        live_worker.parked(run, "signal:")
        (folder,) = (path for path in (local.root() / str(run.uid)).iterdir() if path.is_dir())
        if loss == "another host":
            shutil.rmtree(local.root())
        elif loss == "changed behind our back":  # as a worker leaves it that dies in a step
            folder.with_suffix(".json").unlink()
            (folder / "a.txt").write_text("never recorded")
            (folder / "c.txt").write_text("never recorded")
        deliver(run.pk, "go", {})
        live_worker.ended(run)
    assert run.outcome.data == {
        "files": {"a.txt": ["three", False], "deep/b.sh": ["two", True]}, "kept": "three"
    }, run.outcome.error
    named = [entry.payload["workspace"] for entry in history.entries(run.pk) if "workspace" in entry.payload]
    assert len(named) == 4 and len(set(named)) == 3
    assert set(named) <= {bytes(use.digest).hex() for use in BlobUse.objects.filter(mission_id=run.pk)}
    clock.advance(days=9)
    collect()
    for name in named:
        for file in manifests.decode(b"".join(blobs.portions(bytes.fromhex(name)))):
            assert len(b"".join(blobs.portions(bytes.fromhex(file.digest)))) == file.size


def test_failed_try_and_cut_off_step_leave_nothing_behind() -> None:
    tries: list[list[str]] = []

    def litter(call: StepCall) -> list[str]:
        """Littered."""
        found = sorted(path.name for path in call.workspace.iterdir())
        tries.append(found)
        (call.workspace / f"litter-{len(tries)}").write_text("x")
        if len(tries) == 1:
            raise OSError("no luck")
        if len(tries) == 2:
            lose(running)
            while True:
                call.heartbeat()  # raises once the worker has fenced itself
        return found

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        await m.step("one", write, "a.txt", "one")
        retry = RetryPolicy(attempts=3, first_seconds=0.01)
        return Verdict("done", data={"found": await m.step("litter", litter, retry=retry)})

    name = define("litters", body)
    with live_worker.worker() as running:
        run = begin(name)
        live_worker.ended(run)
    assert run.outcome.data == {"found": ["a.txt"]}, run.outcome.error
    assert tries == [["a.txt"]] * 3


def link_out(folder: Path) -> None:
    (folder / "passwd").symlink_to("/etc/passwd")


def link_folder(folder: Path) -> None:
    (folder / "etc").symlink_to("/etc")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def too_much(folder: Path) -> None:
    (folder / "big").write_bytes(b"x" * 2000)


@pytest.mark.parametrize("spoil", [link_out, link_folder, pipe, too_much])
def test_what_can_not_be_kept_fails_a_step_and_makes_a_tools_result_unusable(
    spoil: Callable[[Path], None], settings: Any
) -> None:
    settings.MISSIONS_WORKSPACE_BYTES = 1000
    allow()

    @tool(name="corner.spoil", effect="write", workspace=True)
    def spoils(call: ToolCall) -> str:
        """Spoil"""
        spoil(call.workspace)
        return "spoilt"

    def spoils_too(call: StepCall) -> None:
        """Spoilt."""
        spoil(call.workspace)

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        told = {}
        try:
            await m.step("spoil", spoils_too)
        except StepFailed as error:
            told["step"] = str(error.facts["type"])
        try:
            await m.tool("corner.spoil")
        except ResultUnusable as error:
            told["tool"] = str(error)
        return Verdict("spoilt", data={**told, "files": await m.step("list", listed)})

    run = begin(define(f"spoils-{spoil.__name__}", body))
    with live_worker.worker():
        live_worker.ended(run)
    assert run.outcome.data["step"] == "WorkspaceRefused" and run.outcome.data["tool"], run.outcome.error
    assert run.outcome.data["files"] == {}
    assert states(run) == ["done"], "it happened, whatever became of the folder"


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a/../../out", "", "a//b", "a\x00b"])
def test_manifest_that_leads_out_of_the_workspace_is_refused(path: str) -> None:
    body = codec.dump({"version": 1, "files": [["ok", "00", 0, False], [path, "00", 0, False]]})
    with pytest.raises(manifests.WorkspaceRefused):
        manifests.decode(body)


def test_copies_go_when_the_mission_ends_and_when_it_left_long_ago() -> None:
    first, second = (begin(define("sweeps", carry), seconds=seconds) for seconds in (0.01, 3600))
    with live_worker.worker():
        live_worker.ended(first)
        live_worker.parked(second, "signal:")
        blobs.aside(lambda: None).result()
        live_worker.wait_until(first, lambda now: not (local.root() / str(first.uid)).exists())
        assert sweep_local() == 0 and (local.root() / str(second.uid)).exists()
        assert sweep_local(unused_seconds=-1) == 1
    assert list(local.root().iterdir()) == []
