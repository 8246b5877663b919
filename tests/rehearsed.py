"""Missions whose code does not let go of a replay, or does in it what only tools may do."""

from __future__ import annotations

import time
from typing import Any

from missions.authoring import Context, Verdict, mission


@mission("rehearsed.endless", version=1)
async def endless(m: Context, request: dict[str, Any]) -> Verdict:
    """Never comes to its first call."""
    while True:
        request["turns"] = request.get("turns", 0) + 1


@mission("rehearsed.deaf", version=1)
async def deaf(m: Context, request: dict[str, Any]) -> Verdict:
    """Does not let itself be ended."""
    while True:
        try:
            request["turns"] = request.get("turns", 0) + 1
        except BaseException:
            continue


@mission("rehearsed.clock", version=1)
async def clock(m: Context, request: dict[str, Any]) -> Verdict:
    """Reads the clock by itself."""
    return Verdict("read", data={"at": time.time()})
