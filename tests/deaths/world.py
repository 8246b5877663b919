"""The other side of the stage's tools: a folder that outlives every worker. Counts what was asked for and done."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from missions.authoring import ProbeResult, ToolCall

FOLDER = "STANDFAST_STAGE_WORLD"  # the environment variable that names it


def _folder(mission: str) -> Path:
    folder = Path(os.environ[FOLDER]) / mission
    folder.mkdir(exist_ok=True)
    return folder


def request(call: ToolCall, what: str) -> int:
    """Note that it was asked for; how often it was so far."""
    note = os.open(_folder(call.mission_id) / f"{what}.requests", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(note, b".")
        return os.fstat(note).st_size
    finally:
        os.close(note)


def post(call: ToolCall, what: str, *, deduplicates: bool) -> dict[str, Any]:
    """Do it: once a key where the other side looks at keys, else as often as it is asked for."""
    unlike = "" if deduplicates else f".{uuid.uuid4().hex}"
    done = _folder(call.mission_id) / f"{what}.{call.idempotency_key}{unlike}.done"
    os.close(os.open(done, os.O_WRONLY | os.O_CREAT))
    return {"what": what}


def found(call: ToolCall, what: str) -> ProbeResult:
    """Whether it was done under this key."""
    there = any(_folder(call.mission_id).glob(f"{what}.{call.idempotency_key}*.done"))
    return ProbeResult(found=there, result={"what": what} if there else None, reference="found" * there)


def is_done(mission: str, key: str) -> bool:
    """Whether anything was done under this key."""
    return any(_folder(mission).glob(f"*.{key}*.done"))


def done(mission: str) -> Counter[str]:
    """How often each thing was done for a mission."""
    return Counter(path.name.split(".", 1)[0] for path in _folder(mission).glob("*.done"))
