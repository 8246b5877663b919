"""How code differs from what was recorded: the entry that comes next, what the code calls instead, and their inputs.

Pure and bounded, for people to read. The journal keeps the inputs of most calls as a hash only; what it does tell of
them (a tool's arguments, a child's type, the words of a question) is compared field by field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from missions.engine import codec
from missions.engine.claims import Recorded
from missions.engine.record import Record
from missions.models import Kind

Json = dict[str, Any]
Told = Callable[[], Json]  # the inputs of a call, as far as the record may tell of them too
MOST, CHARACTERS = 20, 500
HASH_ONLY = "(recorded as a hash only)"
# The fields of an entry that were inputs of its call.
INPUTS: dict[str, tuple[str, ...]] = {
    Kind.STEP: ("name",), Kind.STEP_FAILED: ("name",), Kind.RULING: ("tool",), Kind.INTENT: ("tool", "args"),
    Kind.OUTCOME: ("tool",), Kind.SPAWNED: ("type", "title", "key"), Kind.AWAIT: ("name",), Kind.SIGNAL: ("name",),
    Kind.ASKED: ("kind", "sentence"), Kind.DECIDED: ("proposal", "alternatives", "evidence", "confidence"),
    Kind.OBSERVED: ("text",), Kind.SPENT: ("cost", "tokens", "what"), Kind.SLEEP: ("until",),
}


def untold() -> Json:
    """Of a call that tells nothing of its inputs."""
    return {}


def facts(entry: Recorded | None, calls: Mapping[str, Told], record: Record) -> Json:
    """Side by side: `recorded` (seq, kind, path, inputs; null where more is recorded), `called` (path, inputs, each),
    and `differences` (at, recorded, called), of which there may be none where only the places differ.
    """
    called = {path: told() for path, told in list(calls.items())[:MOST]}
    shown = [{"path": path, "inputs": _bounded(inputs)} for path, inputs in called.items()]
    if entry is None:
        return {"recorded": None, "called": shown, "differences": []}
    known = _inputs(entry, record)
    here = called.get(entry.path)
    differences = [] if here is None else list(_compared(known, here))[:MOST]
    if here is not None and not differences:
        differences = [{"at": "inputs", "recorded": HASH_ONLY, "called": _short(here)}]
    told = {"seq": entry.seq, "kind": str(entry.kind), "path": entry.path, "inputs": _bounded(known)}
    return {"recorded": told, "called": shown, "differences": differences}


def _inputs(entry: Recorded, record: Record) -> Json:
    """What is recorded of a call's inputs; those of a tool stand in the intent, which comes later."""
    told = {name: entry.payload[name] for name in INPUTS.get(entry.kind, ()) if name in entry.payload}
    intent = record.find(entry.path, Kind.INTENT) if entry.kind == Kind.RULING else None
    return {**told, "args": intent.payload["args"]} if intent is not None else told


def _compared(recorded: Any, called: Any, at: str = "") -> Iterator[Json]:
    """The places at which both sides tell something, and not the same; below the top also where one side does not."""
    if isinstance(recorded, dict) and isinstance(called, dict):
        both = [name for name in called if name in recorded] if not at else sorted({*recorded, *called})
        for name in both:
            place = f"{at}.{name}" if at else name
            yield from _compared(recorded.get(name), called.get(name), place)
    elif isinstance(recorded, list) and isinstance(called, list) and len(recorded) == len(called):
        for number, pair in enumerate(zip(recorded, called, strict=True)):
            yield from _compared(*pair, f"{at}[{number}]")
    elif recorded != called:
        yield {"at": at, "recorded": _short(recorded), "called": _short(called)}


def _short(value: Any) -> Any:
    """A value as people read it in a line; a long one is cut."""
    text = codec.dump(value).decode()
    return value if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"


def _bounded(inputs: Json) -> Json:
    return {name: _short(value) for name, value in inputs.items()}
