"""Missions that wait for resources of MCP servers, and the catalogue that names those."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from missions.authoring import Context, Verdict, mission

TYPE, TWICE, MANY = "test.watcher", "test.watcher_twice", "test.watcher_many"
SERVER = "states"


class Wanted(BaseModel):
    """What to wait for."""

    resource: str = "state://order"
    known: str | None = None
    timeout: float | None = None


@mission(TYPE, version=1, title="Wait for a resource")
async def watch(m: Context, wanted: Wanted) -> Verdict:
    """Wait for one change."""
    found = await m.wait_for_mcp(SERVER, wanted.resource, known=wanted.known, timeout=wanted.timeout)
    return Verdict("changed" if found else "unchanged", data=found or {})


@mission(TWICE, version=1, title="Wait for two changes")
async def watch_twice(m: Context, wanted: Wanted) -> Verdict:
    """Wait for a change, be told to go on, and wait for whatever came since."""
    first = await m.wait_for_mcp(SERVER, wanted.resource)
    await m.wait_for_signal("go")
    assert first is not None
    second = await m.wait_for_mcp(SERVER, wanted.resource, known=first["digest"])
    assert second is not None
    return Verdict("done", data={"told": [one["contents"][0]["text"] for one in (first, second)]})


@mission(MANY, version=1, title="Wait for one of two, again and again")
async def watch_many(m: Context, wanted: Wanted) -> Verdict:
    """Three rounds, each with two waits side by side, of which one wins."""
    seen: list[str] = []
    for _ in range(3):
        calls = (m.wait_for_mcp(SERVER, "state://order"), m.wait_for_mcp(SERVER, "state://letter"))
        _, found = await m.wait_any(*calls)
        assert found is not None
        seen.append(found["contents"][0]["text"])
    return Verdict("done", data={"seen": seen})


def catalogue(folder: Path, url: str) -> str:
    """A file that names the server at this URL."""
    file = folder / "servers.yaml"
    file.write_text(f"- name: {SERVER}\n  url: {url}\n")
    return str(file)
