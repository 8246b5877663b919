"""What scenes call: tools whose other side is `tests.deaths.world`, and steps."""

from __future__ import annotations

import asyncio
from typing import Any

from missions.authoring import OutcomeUnknown, ProbeResult, StepCall, ToolCall, ToolFailed, TryLater, tool
from missions.tools.arguments import SchemaArguments
from missions.tools.resource_reads import SCHEMA
from missions.tools.spec import ToolSpec
from tests.deaths import world

FOREVER = 10.0**9


# -- A resource on an MCP server, whose other side is `tests.deaths.audience` -----------------------------------------
async def _read_resource(call: ToolCall, resource: str, known: str = "") -> dict[str, Any]:
    return {"changed": False, "digest": "before"}


def resource_spec(name: str) -> ToolSpec:
    """The tool that reads the stage's resources."""
    return ToolSpec(name=f"{name}.resources.read", function=_read_resource, arguments=SchemaArguments(SCHEMA))


# -- Tools -------------------------------------------------------------------------------------------------------------
def _trouble(call: ToolCall, what: str) -> None:
    """What its name says befalls the first request for it."""
    if world.request(call, what) > 1:
        return
    if what.startswith("later"):
        raise TryLater("Not now.", retry_after_seconds=0.01)
    if what.startswith("refused"):
        raise ToolFailed("No.", code="no")
    if what.startswith("lost"):
        raise OutcomeUnknown("The connection was lost.")


def _do(call: ToolCall, what: str, *, deduplicates: bool) -> dict[str, Any]:
    if what.startswith("unheard"):
        made = world.post(call, what, deduplicates=deduplicates)
        _trouble(call, f"lost-{what}")
        return made
    _trouble(call, what)
    return world.post(call, what, deduplicates=deduplicates)


async def probe(call: ToolCall, what: str) -> ProbeResult:
    return world.found(call, what)


@tool(name="stage.keyed", effect="write", retry_safety="keyed", key_ttl=FOREVER, timeout=5, compensate="stage.undo",
      secrets={"path": "env:PATH"})
async def keyed(call: ToolCall, what: str) -> Any:
    """Do it, once a key"""
    return _do(call, what, deduplicates=True)


@tool(name="stage.thread", effect="write", retry_safety="keyed", key_ttl=FOREVER, timeout=5)
def in_thread(call: ToolCall, what: str) -> Any:
    """Do it in a thread"""
    return _do(call, what, deduplicates=True)


@tool(name="stage.verifiable", effect="write", retry_safety="verifiable", probe=probe, timeout=0.5,
      compensate="stage.undo")
async def verifiable(call: ToolCall, what: str) -> Any:
    """Do it, and tell whether it was done"""
    return _do(call, what, deduplicates=False)


@tool(name="stage.manual", effect="write", retry_safety="manual", timeout=5)
async def manual(call: ToolCall, what: str) -> Any:
    """Do it, and never tell"""
    return _do(call, what, deduplicates=False)


@tool(name="stage.asked", effect="write", retry_safety="keyed", key_ttl=FOREVER, timeout=5)
async def asked(call: ToolCall, what: str) -> Any:
    """Do it when a supervisor says so"""
    return _do(call, what, deduplicates=True)


@tool(name="stage.never", effect="write", retry_safety="keyed", key_ttl=FOREVER, timeout=5, sentence="Never: {what}")
async def never(call: ToolCall, what: str) -> Any:
    """Do what nobody gives leave for"""
    return _do(call, what, deduplicates=True)


@tool(name="stage.undo", effect="write", retry_safety="keyed", key_ttl=FOREVER, timeout=5)
async def undo(call: ToolCall, what: str) -> Any:
    """Undo it"""
    return _do(call, f"undo-{what}", deduplicates=True)


@tool(name="stage.stuck", effect="write", retry_safety="keyed", key_ttl=FOREVER, timeout=5, compensate="stage.stay")
async def stuck(call: ToolCall, what: str) -> Any:
    """Do it, for good"""
    return _do(call, what, deduplicates=True)


@tool(name="stage.stay", effect="write", retry_safety="keyed", key_ttl=FOREVER, timeout=5)
async def stay(call: ToolCall, what: str) -> Any:
    """Do not undo it"""
    raise ToolFailed("No.", code="no")


@tool(name="stage.limited", effect="write", retry_safety="keyed", key_ttl=FOREVER, timeout=5)
async def limited(call: ToolCall, what: str) -> Any:
    """Do it, one at a time"""
    await asyncio.sleep(0.05)
    return _do(call, what, deduplicates=True)


@tool(name="stage.breaks", effect="write", retry_safety="keyed", key_ttl=FOREVER, timeout=5)
async def breaks(call: ToolCall, what: str) -> Any:
    """Do it, with no answer at first"""
    if world.request(call, what) < 3:
        raise OutcomeUnknown("No answer.")
    return world.post(call, what, deduplicates=True)


@tool(name="stage.slow", effect="write", retry_safety="keyed", key_ttl=FOREVER, timeout=5)
async def slow(call: ToolCall, what: str) -> Any:
    """Do it at leisure"""
    await asyncio.sleep(0.4)
    return _do(call, what, deduplicates=True)


@tool(name="stage.silent", effect="write", retry_safety="keyed", key_ttl=FOREVER, timeout=5, heartbeat_timeout=2)
async def silent(call: ToolCall, what: str) -> Any:
    """Do it, with heartbeats"""
    call.heartbeat({"half": True}, 1)
    return _do(call, what, deduplicates=True)


@tool(name="stage.files", effect="write", retry_safety="keyed", key_ttl=FOREVER, timeout=5, workspace=True)
def files(call: ToolCall, what: str) -> Any:
    """Do it, and leave a file"""
    (call.workspace / what).write_text(what)
    return _do(call, what, deduplicates=True)


@tool(name="stage.read", effect="read")
async def read(call: ToolCall, what: str) -> Any:
    """Look"""
    _trouble(call, what)
    return {"what": what}


@tool(name="stage.read_thread", effect="read")
def read_in_thread(call: ToolCall, what: str) -> Any:
    """Look, in a thread"""
    return {"what": what}


@tool(name="stage.look", effect="read")
async def look(call: ToolCall, what: str) -> Any:
    """Look at what may change.

    `turns-2` is another thing from the second look on, and `gone-2` is there no more.
    """
    count, (kind, _, rest) = world.request(call, f"look-{what}"), _change_of(what).partition("-")
    changed = kind in ("turns", "gone") and count >= int(rest.partition("-")[0])
    if kind == "gone" and changed:
        raise ToolFailed("It is gone.", code="gone")
    return {"what": what, "turned": changed}


def _change_of(what: str) -> str:
    return what.removeprefix("later-").removeprefix("lost-")


@tool(name="stage.proven", effect="write", retry_safety="keyed", key_ttl=FOREVER, timeout=5)
async def proven(call: ToolCall, what: str) -> Any:
    """Do it on evidence, when a supervisor says so"""
    return _do(call, what, deduplicates=True)


@tool(name="stage.probed", effect="write", retry_safety="keyed", key_ttl=FOREVER, probe=probe, timeout=0.5)
async def probed(call: ToolCall, what: str) -> Any:
    """The same, and it can be looked up"""
    return _do(call, what, deduplicates=True)


@tool(name="stage.freely", effect="write", retry_safety="keyed", key_ttl=FOREVER, timeout=5)
async def freely(call: ToolCall, what: str) -> Any:
    """Do it on evidence"""
    return _do(call, what, deduplicates=True)


# -- Steps -------------------------------------------------------------------------------------------------------------
async def double(number: int) -> int:
    """Doubled."""
    return 2 * number


def halve(number: int) -> int:
    """Halved."""
    return number // 2


async def fail(number: int) -> int:
    """Failed."""
    raise ValueError(str(number))


def write(call: StepCall, name: str) -> str:
    """Wrote a file, with a cursor."""
    (call.workspace / name).write_text(name)
    for part in range(2):
        call.heartbeat({"part": part}, part)
    return name


async def dawdle(number: int) -> int:
    """Took its time."""
    await asyncio.sleep(5)
    return number
