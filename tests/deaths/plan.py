"""Which fault is tried where: every name that scenes reach, every harm that may happen there, the nearest scene.

A name is struck at its first arrival in the scene that comes to it soonest, and where that scene comes there often, at
one of the later arrivals too.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.deaths import faults, unreached
from tests.deaths.faults import Fault
from tests.deaths.scene import SCENES
from tests.deaths.stage import Performance, Stage

EFFECT_PATH = ("effects.call:ToolRun._dispatch", "effects.call:ToolRun._take", "effects.call:ToolRun.record",
               "effects.dispatch:", "effects.intents:open_effect", "effects.intents:stands",
               "effects.doubt:_probe", "effects.doubt:_adopt")  # fmt: skip
OF_PEERS = "engine.liveness:"
BATCH = 24
Case = tuple[str, Fault]  # a scene, and what befalls it
LOOSE = ("refusals", "unproven")  # where it depends on the fault whether something is done at all, though never twice


@dataclass(frozen=True, slots=True)
class Reach:
    """The scene that comes to a name soonest, and how often it does."""

    scene: str
    after: int  # arrivals anywhere before
    times: int


def reached(quiet: Iterable[Performance]) -> dict[str, Reach]:
    """Where each name is reached, from performances in which nothing happened."""
    found: dict[str, tuple[tuple[bool, int], Reach]] = {}
    for one in quiet:
        times = Counter(one.reached)
        for after, name in enumerate(one.reached):
            rank = (name.startswith(OF_PEERS) and not one.is_alone, after)  # there peers come and go as time has it
            if name not in found or rank < found[name][0]:
                found[name] = rank, Reach(one.scene, after, times[name])
    return {name: reach for name, (_, reach) in found.items()}


def cases(found: Mapping[str, Reach]) -> Iterator[Case]:
    """Every scene and fault to be tried, in a fixed order."""
    for name, reach in sorted(found.items()):
        if name in unreached.WHY:
            continue  # time alone has led there
        for harm in faults.harms(name):
            yield reach.scene, Fault(name, harm)
            if reach.times > 3 and (harm in faults.DEADLY or harm is faults.Harm.LOST):
                yield reach.scene, Fault(name, harm, _later(name, reach.times))


def _later(name: str, times: int) -> int:
    """An arrival after the first one, the same each time."""
    return 2 + _number(name) % (times - 2)


def _number(words: str) -> int:
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4], "big")


def sample(every: Iterable[Case], one_of: int) -> list[Case]:
    """One of so many by a hash, and the deaths of the effect path."""
    return [
        (scene, fault) for scene, fault in every
        if _number(str(fault)) % one_of == 0
        or (fault.name.startswith(EFFECT_PATH) and fault.harm in faults.DEADLY and fault.arrival == 1)
    ]


def perform(
    stage: Stage, chosen: Sequence[Case], quiet: Mapping[str, Performance]
) -> Iterator[Performance]:
    """Try them, batch by batch; what each shows is compared with the quiet performance of its scene."""
    for first in range(0, len(chosen), BATCH):
        batch = [stage.new(scene, fault) for scene, fault in chosen[first:first + BATCH]]
        stage.perform(batch)
        for one in batch:
            one.wrong += differing(one, quiet[one.scene])
            yield one


def differing(one: Performance, quiet: Performance) -> list[str]:
    """What is otherwise than where nothing happened."""
    wrong = []
    if one.told != quiet.told:
        wrong.append(f"it tells {one.told}, not {quiet.told}")
    twice = any(count > 1 for count in one.done.values())
    if twice if one.scene in LOOSE else one.done != quiet.done:
        wrong.append(f"it did {dict(one.done)}, not {dict(quiet.done)}")
    return wrong


def everything(stage: Stage) -> list[Performance]:
    """Each scene once, and nothing happens."""
    quiet = [stage.new(name) for name in SCENES]
    stage.perform(quiet)
    return quiet
