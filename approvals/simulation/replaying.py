"""A replay, part by part: past rulings are made again with a version in the place of the one in force.

Each part takes about a second and is counted in one short transaction, under its number: repeated, it changes nothing.
Nothing is called and no rule but those of the pinned versions is evaluated. Rows are read and judged outside of any
transaction. Between two rulings the thread lets others run: evaluation holds Python's lock, and the worker that lends
this thread has other missions.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import transaction

from approvals.models import Change, DecisionState, Replay, ReplayDifference, ReplayPart
from approvals.simulation import candidates, comparing, history
from approvals.simulation.candidates import Tables
from approvals.simulation.counting import Count
from approvals.simulation.history import PastRuling, Place, Stretch
from approvals.simulation.windows import Window
from missions.engine.clock import database_now
from missions.governance import Ruling, RulingOutcome
from missions.models import Effect, EffectState

BATCH = 250  # rulings read at once
PART_SECONDS = 0.8  # a part ends with the batch in which this time has passed
YIELD_SECONDS = 0.002
KEPT = 10_000  # differences that are kept; all are counted
REASON = 500


@dataclass(frozen=True, slots=True)
class Panel:
    """The two sets of tables that each action is ruled on by."""

    would: Tables
    present: Tables | None  # None: the candidate is what is in force
    candidate: str  # its label, as traces name it

    def on(self, past: PastRuling) -> tuple[Ruling, Ruling]:
        """What would be said of a past action, and what is by now; at its time."""
        if past.oversized or past.intent is None:
            would = candidates.oversized(past.oversized)
            return would, would
        sets = [self.would, self.present] if self.present is not None else [self.would]
        found = candidates.judged_by_each(past.intent, sets, past.place.at)
        return found[0], found[-1]


@dataclass(frozen=True, slots=True)
class Found:
    """A difference, and what it differs from."""

    past: PastRuling
    row: ReplayDifference

    @property
    def may_have_happened(self) -> bool:
        """Whether the action was let through then."""
        outcome = self.past.was.outcome if self.past.was else RulingOutcome.DENY
        return outcome is RulingOutcome.ALLOW or self.past.decided == DecisionState.APPROVED


@dataclass(slots=True)
class Part:
    """What one part finds."""

    count: Count = field(default_factory=Count)
    rows: list[ReplayDifference] = field(default_factory=list)
    until: Place = field(default_factory=Place)
    more: bool = True


def open_run(uid: uuid.UUID, version: Any, window: Window, mission_type: str) -> Replay:
    """Pin what is evaluated and which rulings are meant, once; the same replay again as it is.

    Raises InvalidPolicy where the version, or what is in force, can not be read.
    """
    replay, _ = Replay.objects.get_or_create(
        id=uid, defaults={"version": version, "window": window.as_json(), "mission_type": mission_type}
    )
    if replay.total is not None:
        return replay
    candidates.table_of(version)
    replay.beside = candidates.references(candidates.in_force())
    replay.until = window.until or database_now()
    begin = Place(window.since) if window.since else Place()
    stretch = Stretch(after=begin, until=replay.until, mission_type=mission_type)
    if window.last:
        stretch = replace(stretch, after=history.before_last(stretch, window.last))
    replay.since, replay.total = stretch.after.as_json(), history.count(stretch)
    replay.save(update_fields=["beside", "until", "since", "total"])
    return replay


def run_part(replay: Replay, number: int) -> ReplayPart:
    """Part `number` (from 1) of a replay that was opened: what is recorded of it, or what comes of it now.

    Parts come one after the other; part n wants part n - 1. Raises UnknownPolicy, InvalidPolicy.
    """
    known = replay.parts.filter(number=number).first()
    if known is not None:
        return known
    begin = replay.parts.get(number=number - 1).until if number > 1 else replay.since
    assert replay.until is not None and begin is not None
    stretch = Stretch(after=Place.from_json(begin), until=replay.until, mission_type=replay.mission_type)
    return _recorded(replay, number, _judged(replay, _panel(replay), stretch))


def _panel(replay: Replay) -> Panel:
    present = candidates.resolved(replay.beside)
    candidate = candidates.table_of(replay.version)
    would = candidates.replaced(present, candidate)
    same = candidates.references(would) == candidates.references(present)
    return Panel(would, None if same else present, candidate.label)


def _judged(replay: Replay, panel: Panel, stretch: Stretch) -> Part:
    """One batch at least, however long it takes."""
    part, begun = Part(until=stretch.after), time.monotonic()
    while part.more and (not part.count.read or time.monotonic() - begun < PART_SECONDS):
        batch = history.read(replace(stretch, after=part.until), BATCH)
        part.more = len(batch) == BATCH
        found = [one for past in _politely(batch) if (one := _judge(replay, panel, past, part.count)) is not None]
        _mark_undone(found)
        for one in found:
            part.count.note_change(Change(one.row.change), decided=one.row.decided, undone=one.row.undone)
        part.rows += [one.row for one in found][: KEPT - len(part.rows)]
        part.until = batch[-1].place if batch else part.until
    return part


def _politely(batch: Iterable[PastRuling]) -> Iterator[PastRuling]:
    """Let other threads have Python's lock every now and then: they would wait five times as long for it."""
    yielded = time.monotonic()
    for past in batch:
        if time.monotonic() - yielded > YIELD_SECONDS:
            time.sleep(0)
            yielded = time.monotonic()
        yield past


def _judge(replay: Replay, panel: Panel, past: PastRuling, count: Count) -> Found | None:
    """Rule on one action again and count it; its row where the ruling differs."""
    count.read += 1
    if past.was is None or past.phase != "plan":
        return None
    if past.intent is None:
        count.unrecorded += 1
        return None
    would, present = panel.on(past)
    count.judged += 1
    count.note_load(count.would, would, past.place.at)
    count.note_load(count.present, present, past.place.at)
    count.faulty += any(entry["policy"] == panel.candidate and entry["state"] == "error" for entry in would.trace)
    looser = comparing.is_looser(would, present)
    count.looser += looser
    change = comparing.change_of(past.was, would)
    return Found(past, _row(replay, past, change, would, looser)) if change else None


def _row(replay: Replay, past: PastRuling, change: Change, would: Ruling, looser: bool) -> ReplayDifference:
    asks = would.tiers if would.outcome is RulingOutcome.ESCALATE else ()
    return ReplayDifference(
        replay=replay, change=change, at=past.place.at, mission_id=past.place.mission_id,
        mission_uid=past.mission_uid, mission_type=past.mission_type, seq=past.place.seq, tool=past.tool[:200],
        title=past.title[:200], agent=past.intent.agent[:200] if past.intent else "",
        was_version=past.was.policy_version[:120] if past.was else "", decided=past.decided, looser=looser,
        rules=list(would.rules), tiers=[comparing.name_of(tier) for tier in asks], reason=would.reason[:REASON],
    )  # fmt: skip


def _mark_undone(found: Iterable[Found]) -> None:
    """Which of these actions happened and were rolled back: the last ruling before an undone effect, at its place."""
    by_place: dict[tuple[int, str], list[ReplayDifference]] = defaultdict(list)
    for one in found:
        if one.may_have_happened:
            by_place[one.row.mission_id, one.past.path].append(one.row)
    if not by_place:
        return
    undone = Effect.objects.filter(mission_id__in={place[0] for place in by_place}, state=EffectState.UNDONE)
    for mission_id, path, seq in undone.values_list("mission_id", "path", "seq"):
        before = [row for row in by_place.get((mission_id, path), ()) if row.seq < seq]
        if before:
            before[-1].undone = True


def _recorded(replay: Replay, number: int, part: Part) -> ReplayPart:
    """Count a part, unless somebody did meanwhile."""
    with transaction.atomic():
        held = Replay.objects.select_for_update().get(pk=replay.pk)
        known = held.parts.filter(number=number).first()
        if known is not None:
            return known
        ReplayDifference.objects.bulk_create(part.rows[: max(KEPT - held.differing, 0)], batch_size=1000)
        held.done += part.count.read
        held.differing += part.count.differing
        held.save(update_fields=["done", "differing"])
        return held.parts.create(
            number=number, until=part.until.as_json(), more=part.more, counts=part.count.as_json()
        )

