"""What a crash test finds: comparing runs that were cut with runs that were not. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from missions.engine import guard
from missions.governance import EffectClass, Json, RetrySafety
from missions.models import Kind, State
from missions.testing.crashes import Cut
from missions.testing.playing import Played
from missions.testing.requests import Request

ANSWERS = {
    Kind.STEP: "result", Kind.STEP_FAILED: "error", Kind.OUTCOME: "result", Kind.NOW: "at", Kind.SIGNAL: "payload",
}
MISSING = "nothing"


class Fault(StrEnum):
    """What is wrong with a mission."""

    DIVERGENCE = "divergence"  # replay asks for something else than what is recorded
    REPEATED = "repeated effect"  # the world holds more than after an uninterrupted run
    RESULT = "different result"  # it ends otherwise than uninterrupted
    RANDOMNESS = "unrecorded randomness"  # the same record, and another course
    CLOCK = "clock read"  # time that is not on the record
    EFFECT = "effect outside a tool"  # a body or a step acts by itself
    RETRY = "wrong retry safety"  # a tool that does not keep what it declares
    ORDER = "order of branches"  # time decides what comes first, or tasks that are no branches
    UNFINISHED = "unfinished"  # it fails, or waits for what nobody sends


BY_GUARD = {
    guard.EFFECT: Fault.EFFECT, guard.CLOCK: Fault.CLOCK, guard.STOPWATCH: Fault.CLOCK,
    guard.RANDOMNESS: Fault.RANDOMNESS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault, where it showed, and in how many runs."""

    fault: Fault
    told: str
    cut: Cut | None = None  # the first one that showed it; None: it shows without any
    times: int = 1


def gathered(found: Sequence[Finding]) -> list[Finding]:
    """The same finding once, with the number of runs that showed it."""
    times = Counter((one.fault, one.told) for one in found)
    first = {(one.fault, one.told): one for one in reversed(found)}
    return [
        Finding(fault=one.fault, told=one.told, cut=one.cut, times=times[key])
        for key, one in sorted(first.items(), key=lambda item: (list(Fault).index(item[0][0]), item[0][1]))
    ]


# -- Without a cut -----------------------------------------------------------------------------------------------------


def of_one(run: Played) -> Iterator[Finding]:
    """What a run shows by itself: what the guard refused, and that it does not end."""
    for violation in run.violations:
        yield Finding(fault=BY_GUARD[violation.facts["kind"]], told=str(violation), cut=run.cut)
    if run.state == State.PAUSED:
        paused = next((entry for entry in reversed(run.entries) if entry.kind == Kind.PAUSED), None)
        facts = paused.payload if paused else {"reason": "", "detail": ""}
        fault = Fault.DIVERGENCE if facts["reason"] in ("divergence", "violation") else Fault.UNFINISHED
        yield Finding(fault=fault, told=facts["detail"] or facts["reason"], cut=run.cut)
    elif run.error.startswith("misused_context"):
        yield Finding(fault=Fault.ORDER, told=run.error, cut=run.cut)
    elif run.state not in (State.COMPLETED, State.FAILED):
        yield Finding(fault=Fault.UNFINISHED, told=f"It waits for {run.waits_for!r} and nothing comes.", cut=run.cut)
    yield from _keys(run)


def _keys(run: Played) -> Iterator[Finding]:
    """Whether keyed tools count a key once: by what ledgers hold, else by what they answered."""
    for posting in run.repeated:
        told = f"{posting.tool} is declared keyed and did the same key twice."
        yield Finding(fault=Fault.RETRY, told=told, cut=run.cut)
    answers: dict[tuple[str, str], set[bytes]] = {}
    for request in run.requests:
        if request.answered and request.spec.retry_safety is RetrySafety.KEYED and request.key:
            answers.setdefault((request.spec.name, request.key), set()).add(request.answer)
    for (name, _), given in answers.items():
        if len(given) > 1:
            told = f"{name} is declared keyed and answered the same key in {len(given)} ways."
            yield Finding(fault=Fault.RETRY, told=told, cut=run.cut)


def of_two(first: Played, second: Played) -> Iterator[Finding]:
    """What two uninterrupted runs, a day apart, show: with the same answers they must go the same way."""
    ours, theirs = _answers(first), _answers(second)
    if any(ours[path] != theirs[path] for path in ours.keys() & theirs.keys()):
        return
    for path in sorted(ours.keys() ^ theirs.keys()):
        told = f"With the same record one run asks for {path!r} and the other does not."
        yield Finding(fault=Fault.RANDOMNESS, told=told)
        return
    for leaf in sorted(differing(first.verdict, second.verdict)):
        yield Finding(fault=Fault.RANDOMNESS, told=f"With the same record two runs ended with another {leaf}.")


def _answers(run: Played) -> dict[str, list[Any]]:
    """What the record told the mission, by key path."""
    told: dict[str, list[Any]] = {}
    for entry in run.entries:
        if entry.path:
            asked = told.setdefault(entry.path, [])
            if entry.kind in ANSWERS:
                asked.append(entry.payload.get(ANSWERS[Kind(entry.kind)]))
    return told


def differing(ours: Any, theirs: Any, path: str = "") -> set[str]:
    """The places, as in `data.receipt.id`, where two JSON values differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        pairs = {name: (ours.get(name, MISSING), theirs.get(name, MISSING)) for name in ours.keys() | theirs.keys()}
        return {leaf for name, (a, b) in pairs.items() for leaf in differing(a, b, f"{path}.{name}".strip("."))}
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        every = enumerate(zip(ours, theirs, strict=True))
        return {leaf for number, (a, b) in every for leaf in differing(a, b, f"{path}.{number}")}
    return set() if ours == theirs else {path}


# -- With a cut --------------------------------------------------------------------------------------------------------


def of_cut(run: Played, whole: Played, volatile: set[str]) -> Iterator[Finding]:
    """What a run that was cut shows against an uninterrupted one; `volatile` is what differs anyway."""
    yield from of_one(run)
    yield from _repeated(run, whole)
    if run.state == State.FAILED and not run.error.startswith(("misused_context", "guarded")) and not whole.error:
        yield Finding(fault=Fault.RESULT, told=f"It fails: {run.error}", cut=run.cut)
    elif run.state == State.COMPLETED:
        same = {"verdict": run.verdict["verdict"]}, {"verdict": whole.verdict.get("verdict")}
        leaves = differing(*same) if run.asked_people else differing(run.verdict, whole.verdict)
        for leaf in sorted(leaf for leaf in leaves if not leaf.startswith(tuple(volatile) or "\0")):
            told = f"It ended with another {leaf}: {_leaf(run.verdict, leaf)!r}, not {_leaf(whole.verdict, leaf)!r}."
            yield Finding(fault=Fault.RESULT, told=told, cut=run.cut)


def _leaf(value: Any, path: str) -> Any:
    for name in path.split("."):
        if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
    return value


def _repeated(run: Played, whole: Played) -> Iterator[Finding]:
    """Effects that the world holds more often than after the uninterrupted run."""
    for name, args in sorted((_done(run) - _done(whole)).keys()):
        safety = next(request.spec.retry_safety for request in run.requests if request.act == (name, args))
        told = f"{name} was called again though it had done its work"
        if safety is RetrySafety.VERIFIABLE:
            yield Finding(fault=Fault.RETRY, told=f"{told}: its probe did not find that.", cut=run.cut)
        else:
            yield Finding(fault=Fault.REPEATED, told=f"{told}.", cut=run.cut)
    reads = {request.spec.name for request in run.requests if request.spec.effect is EffectClass.READ}
    extra = Counter(one.tool for one in run.postings) - Counter(one.tool for one in whole.postings)
    for name in sorted(extra):
        if name in reads:
            told = f"{name} is declared a read and changed its ledger again."
            yield Finding(fault=Fault.REPEATED, told=told, cut=run.cut)


def _done(run: Played) -> Counter[tuple[str, bytes]]:
    """How often each write that is not keyed was done."""

    def counts(request: Request) -> bool:
        spec = request.spec
        return request.answered and spec.effect is not EffectClass.READ and spec.retry_safety is not RetrySafety.KEYED

    return Counter(request.act for request in run.requests if counts(request))


def as_json(one: Finding) -> Json:
    """For programs."""
    return {"fault": str(one.fault), "told": one.told, "cut": str(one.cut) if one.cut else None, "times": one.times}
