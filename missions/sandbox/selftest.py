"""Whether isolation holds here, found out by trying to escape: at a worker's start, and before the first job.

Owns what this process knows of it. Nothing runs where a capability that is required was not seen to hold; what was
found wanting is tried again after a minute, so that mending needs no restart.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import secrets
import socket
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from missions.errors import SandboxRefused
from missions.sandbox import attempts_inside, driver, supervisor
from missions.sandbox.capabilities import Capability
from missions.sandbox.driver import SandboxDriver
from missions.sandbox.jobs import MIB, Job
from missions.sandbox.process import Ending
from missions.sandbox.report import Finding, Report
from missions.sandbox.streams import Collected

AGAIN_SECONDS = 60.0
MEMORY_BYTES, DISK_BYTES, PIDS, WALL_SECONDS = 64 * MIB, 2 * MIB, 32, 20.0
CLOSED = "reads what only we may read"  # an ordinary user's jobs are that user
TRIES = {
    "reads a file of ours": Capability.FILESYSTEM,
    CLOSED: Capability.FILESYSTEM,
    "writes to the system": Capability.FILESYSTEM,
    "reads our environment": Capability.FILESYSTEM,
    "connects to this host": Capability.NETWORK,
    "connects to an abstract socket": Capability.NETWORK,
    "sees other processes": Capability.PIDS,
    "forks without end": Capability.PIDS,
    "fills the disk": Capability.DISK,
    "makes forbidden system calls": Capability.SYSCALLS,
}
SWELLS = "takes all memory"
_known: Report | None = None
_known_since = 0.0
_under_way: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[Report]] = weakref.WeakKeyDictionary()


async def admit() -> Report:
    """What is known of isolation here. Raises SandboxRefused where a capability that is required is missing."""
    report = await known()
    lacking = {name: why for name, why in report.missing.items() if name not in settings.SANDBOX_MAY_LACK}
    if lacking:
        raise SandboxRefused(missing=lacking)
    return report


async def known() -> Report:
    """The last finding of this process; looks where there is none, or where one that is wanting has grown old."""
    whole = _known is not None and not _known.missing
    if _known is not None and (whole or time.monotonic() - _known_since < AGAIN_SECONDS):
        return _known
    loop = asyncio.get_running_loop()
    task = _under_way.get(loop)
    if task is None or task.done():
        task = _under_way[loop] = asyncio.create_task(examine())
    return await asyncio.shield(task)


async def examine() -> Report:
    """Try to escape, and remember what came of it."""
    global _known, _known_since
    chosen, lacks, findings = driver.chosen(), dict[str, str](), tuple[Finding, ...]()
    try:
        lacks |= await chosen.missing()
        findings = await _findings(chosen, lacks) if chosen.capabilities else ()
    except (SandboxRefused, OSError, ValueError) as error:
        lacks = {**dict.fromkeys(map(str, Capability), _mending(str(error))), **lacks}
    for finding in findings:
        if not finding.contained:
            lacks.setdefault(finding.capability, f"A job {finding.attempt}.")
    holds = chosen.capabilities - lacks.keys()
    now = dt.datetime.now(dt.UTC)
    _known = Report(driver=chosen.name, capabilities=holds, missing=lacks, findings=findings, checked_at=now)
    _known_since = time.monotonic()
    return _known


def _mending(why: str) -> str:
    """What bubblewrap or the kernel said, and what helps."""
    if any(word in why for word in ("uid map", "namespace", "Operation not permitted", "No space left")):
        return f"{why.strip()} User namespaces are closed here: {NAMESPACES}"
    return why.strip()


NAMESPACES = (
    "sysctl kernel.apparmor_restrict_unprivileged_userns=0, kernel.unprivileged_userns_clone=1, "
    "user.max_user_namespaces>0; in a container, allow the calls `unshare` and `mount`"
)


async def _findings(chosen: SandboxDriver, lacks: dict[str, str]) -> tuple[Finding, ...]:
    found: list[Finding] = []
    with _prey() as (facts, readable):
        tries = {name: capability for name, capability in TRIES.items() if name != CLOSED or os.geteuid() == 0}
        for attempt, outcome in (await _try(chosen, list(tries), facts, readable)).items():
            capability = tries[attempt]
            found.append(Finding(attempt=attempt, capability=capability, contained=outcome != "done", detail=outcome))
        if Capability.MEMORY not in lacks:
            facts |= {"memory": 4 * MEMORY_BYTES}
            outcome = (await _try(chosen, [SWELLS], facts, readable))[SWELLS]
            killed = outcome == "memory"
            found.append(Finding(attempt=SWELLS, capability=Capability.MEMORY, contained=killed, detail=outcome))
    return tuple(found)


@contextmanager
def _prey() -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """What the attempts are after: real files and sockets of ours."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="standfast-selftest-")))
        folder.chmod(0o755)
        script, closed, secret = folder / "shown" / "attempts.py", folder / "shown" / "closed", folder / "ours"
        script.parent.mkdir()
        script.write_bytes(Path(attempts_inside.__file__).read_bytes())
        for file in (closed, secret):
            file.write_text(secrets.token_hex())
        closed.chmod(0o600)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        name = f"standfast-{secrets.token_hex(8)}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        workspace = folder / "workspace"
        workspace.mkdir()
        yield {
            "script": str(script), "file": str(secret), "closed": str(closed), "port": tcp.getsockname()[1],
            "abstract": name, "variable": supervisor.CANARY, "workspace": "/workspace", "folder": str(workspace),
        }, (str(script.parent),)  # fmt: skip


async def _try(
    chosen: SandboxDriver, attempts: list[str], facts: dict[str, Any], readable: tuple[str, ...]
) -> dict[str, str]:
    """Attempt → what came of it. Raises SandboxRefused where the job itself does not run, so that nothing was tried."""
    python, needed = driver.interpreter()
    job = Job(
        argv=(python, "-IS", facts["script"], json.dumps({**facts, "try": attempts})), workspace=Path(facts["folder"]),
        readable=(*needed, *readable), memory_bytes=MEMORY_BYTES, disk_bytes=DISK_BYTES, pids=PIDS,
        cpu_seconds=WALL_SECONDS, wall_seconds=WALL_SECONDS,
    )  # fmt: skip
    process = await chosen.start(job)
    out, err = (Collected(pipe, 64 * 1024, lambda: None) for pipe in (process.stdout, process.stderr))
    process.stdout = process.stderr = -1
    try:
        ending, *_ = await asyncio.gather(process.ended(), out.read(), err.read())
    finally:
        out.close()
        err.close()
        await process.close()
    return _said(attempts, ending, out.content, err.content)


def _said(attempts: list[str], ending: Ending, out: bytes, err: bytes) -> dict[str, str]:
    if ending.killed_for == "memory":
        return dict.fromkeys(attempts, "memory")
    if ending.status or ending.killed_for:
        said = err.decode(errors="replace").strip() or f"It ended with {ending.status} {ending.killed_for}."
        raise SandboxRefused(f"The self-test could not run: {said[-500:]}", missing={})
    found: dict[str, str] = json.loads(out)
    return found
