"""The crash table: what becomes of an effect whose worker dies exactly at a crash point, by what its tool declares.

Each cell is a run of its own: a supervisor is asked, a refund is paid by a real MCP server, somebody dies at the point,
and others go on. Its words come from the journal after the death and from the other side's ledger.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group, User

from approvals import votes
from approvals.models import Decision, DecisionState, TierState
from approvals.policies import document, versions
from approvals.refusals import VoteRefused
from missions.engine import controls, history, period_budgets
from missions.engine import registry as known
from missions.engine.clock import database_now
from missions.engine.starting import start
from missions.models import Archived, Effect, Kind, Mission, Worker
from missions.testing.clock import Clock
from tests.deaths import scenes
from tests.deaths.cells import ROWS, Cell, Row
from tests.deaths.forks import Forks, Order
from tests.deaths.sides import CLASSES, TIMEOUT_SECONDS

VOTER = "supervisors"
AT_ONCE, LOOK_SECONDS, PATIENCE_SECONDS = 4, 0.01, 120.0
WHEN_TAKEN = "call_sent"  # where the worker died whose missions the taker takes


class Table:
    """Runs the cells, several at a time. For a database of its own, whose clock it moves."""

    tools: Sequence[str] = CLASSES

    def __init__(self, folder: Path, forks: Forks, sides: Any) -> None:
        """`sides` are the other sides of these tools: `Sides`, or whatever is asked for the same."""
        self._folder, self._forks, self._sides = folder, forks, sides
        self._clock = Clock()

    def prepare(self) -> None:
        """Somebody who approves, and a policy that wants that; once a database."""
        for group in ("supervisors", "operators"):
            User.objects.create_user(group).groups.add(Group.objects.get_or_create(name=group)[0])
        tiers = [{"group": VOTER, "quorum": 1}]
        rules: list[dict[str, Any]] = [
            {"name": "undo", "scope": {"tool": "*.payments.reverse"}, "effect": "allow", "reason": "A test."},
            *({"name": f"ask-{number}", "scope": {"tool": tool}, "effect": "escalate", "reason": "A test.",
               "tiers": tiers} for number, tool in enumerate(("*.payments.refund", "*.orders.get"))),
        ]  # fmt: skip
        versions.load(document.check({"name": "table", "mode": "enforce", "rules": rules}), activate=True, via="test")

    def fill(self, rows: Sequence[Row] = ROWS) -> list[Cell]:
        """Each row for each class, run to its end."""
        pairs = [(row, tool) for row in sorted(rows, key=lambda row: row.alone) for tool in self.tools]
        cells = [Cell(row, tool, f"ORD-{1001 + number}", number) for number, (row, tool) in enumerate(pairs)]
        types = {name: body for cell in cells for name, body in cell.types.items()}
        known.all_types()  # what is found only now would be lost with what comes after
        before = dict(known._types)
        scenes.register(types)
        try:
            crowd = [cell for cell in cells if not cell.row.alone]
            for together in (crowd, *([cell] for cell in cells if cell.row.alone)):
                if together:
                    self._die(together)
                    self._go_on(together, types)
        finally:
            known._types.clear()
            known._types.update(before)
        for cell in cells:
            self._note(cell)
        return cells

    # -- To the death --------------------------------------------------------------------------------------------------

    def _die(self, cells: Sequence[Cell]) -> None:
        coming, going = list(cells), list[Cell]()
        while coming or going:
            while coming and len(going) < AT_ONCE and not (going and (coming[0].row.alone or going[0].row.alone)):
                going.append(coming.pop(0))
                self._begin(going[-1])
            time.sleep(LOOK_SECONDS)
            ended = self._forks.look()
            for cell in going:
                self._look(cell, ended)
            going = [cell for cell in going if cell.state != "over"]

    def _fork(self, cell: Cell, **more: Any) -> int:
        return self._forks.fork(Order(types=cell.types, log=str(self._folder / f"cell-{cell.number}.log"), **more))

    def _begin(self, cell: Cell) -> None:
        wanted = self._sides.wanted(cell)
        given = {"child": f"{cell.type}-child", "of_child": wanted} if cell.row.body == "carer" else wanted
        if cell.row.budget:
            period_budgets.add(
                name=f"cell-{cell.number}", subject="mission_type", subject_name=cell.type, counts="effects",
                amount=Decimal(9), period="month",
            )
        cell.mission, _ = start(cell.type, given)
        first = WHEN_TAKEN if cell.tool != "read" else "after_claim"
        at = {"worker": cell.row.crash_at(cell.tool), "taker": first}.get(cell.row.who, "")
        cell.worker, cell.state = self._fork(cell, crash_at=at), "running"

    def _look(self, cell: Cell, ended: Mapping[int, int]) -> None:
        if cell.state == "running":
            self._run(cell, ended)
        elif cell.state == "dying" and cell.dying in ended:
            self._struck(cell, ended[cell.dying])
            self._forks.signal(cell.worker, signal.SIGTERM)
            cell.state = "leaving"
        elif cell.state == "leaving" and cell.worker in ended:
            cell.state = "over"

    def _run(self, cell: Cell, ended: Mapping[int, int]) -> None:
        if cell.worker in ended:
            if cell.row.who == "taker":
                cell.dying = self._fork(cell, crash_at=cell.row.crash_at(cell.tool))
                cell.state = "dying"
            else:
                self._struck(cell, ended[cell.worker])
                cell.state = "over"
            return
        missions = cell.missions()
        decisions = list(Decision.objects.filter(mission__in=missions, state=DecisionState.OPEN))
        if decisions and cell.row.who == "voter":
            vote = {"decision": str(decisions[0].pk), "voter": VOTER, "digest": decisions[0].digest}
            cell.dying, cell.state = self._fork(cell, crash_at=cell.row.point, act="vote", given=vote), "dying"
            return
        self._answer(cell, decisions)
        if cell.mission.pk and all(mission.ended and mission.owner is None for mission in missions):
            self._at_its_end(cell)

    def _at_its_end(self, cell: Cell) -> None:
        """It did not die on its way: who dies is yet to come, or the point does not lie there."""
        self._look_up_keys(cell)
        if cell.row.who == "archivist":
            given = {"mission": cell.mission.pk}
            cell.dying, cell.state = self._fork(cell, crash_at=cell.row.point, act="archive", given=given), "dying"
        else:
            cell.state = "leaving"
            self._forks.signal(cell.worker, signal.SIGTERM)

    def _struck(self, cell: Cell, status: int) -> None:
        cell.struck = status == -signal.SIGKILL
        journal = cell.journal()
        cell.seen = {mission.pk: history.entries(mission.pk)[-1].seq for mission in cell.missions()}
        cell.recorded = any(entry.kind == Kind.OUTCOME for entry in journal)
        self._look_up_keys(cell)

    def _look_up_keys(self, cell: Cell) -> None:
        of_cell = [mission.pk for mission in cell.missions()]
        found = Effect.objects.filter(mission_id__in=of_cell, tool__endswith=self._sides.effect(cell))
        cell.keys |= set(found.values_list("key", flat=True))

    # -- What people do ------------------------------------------------------------------------------------------------

    def _answer(self, cell: Cell, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            more = {}
            if decision.kind == "in_doubt":
                there = self._sides.posted(cell, decision.facts["key"])
                if cell.row.point in ("call_sent", "after_takeover") and not there:
                    continue  # it is still on its way
                more = {"choice": "happened", "reference": "seen"} if there else {"choice": "retry"}
            tier = decision.tiers.filter(state=TierState.OPEN).first()
            if tier is None:
                continue
            try:
                voter = User.objects.get(username=tier.group)
                votes.cast(decision.pk, voter, "approve", decision.digest, channel="api", **more)  # type: ignore[arg-type]
            except VoteRefused:
                pass  # settled meanwhile
        self._steer(cell)

    def _steer(self, cell: Cell) -> None:
        """What was paid is taken back, where the row wants that; then the mission may end."""
        if cell.row.body != "undone":
            return
        cell.mission.refresh_from_db()
        if cell.mission.waits_for == "signal:back" and cell.mission.owner is None:
            controls.request(cell.mission.pk, "cancel", by="operators", key="back", compensate=True)

    # -- Whoever comes after -------------------------------------------------------------------------------------------

    def _go_on(self, cells: Sequence[Cell], types: dict[str, str]) -> None:
        log = str(self._folder / "survivor.log")
        survivor = self._forks.fork(Order(types=types, concurrency=300, log=log))
        until = time.monotonic() + PATIENCE_SECONDS
        while (left := [cell for cell in cells if self._is_unfinished(cell)]) and time.monotonic() < until:
            for cell in left:
                decisions = Decision.objects.filter(mission__in=cell.missions(), state=DecisionState.OPEN)
                self._answer(cell, list(decisions))
            if all(self._sleeps(mission) for cell in left for mission in cell.missions() if not mission.ended):
                self._clock.advance(TIMEOUT_SECONDS + 3)
            time.sleep(LOOK_SECONDS)
        assert not left, [(cell.row.name, cell.tool, [(e.kind, e.path) for e in cell.journal()]) for cell in left]
        archivists = [
            self._fork(cell, act="archive", given={"mission": cell.mission.pk})
            for cell in cells if cell.row.who == "archivist"
        ]
        self._forks.signal(survivor, signal.SIGTERM)
        while not {survivor, *archivists} <= self._forks.look().keys() and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)

    def _is_unfinished(self, cell: Cell) -> bool:
        missions = cell.missions()
        return not all(mission.ended and mission.owner is None for mission in missions)

    @staticmethod
    def _sleeps(mission: Mission) -> bool:
        return mission.owner is None and mission.wake_at is not None and mission.wake_at > database_now()

    def _note(self, cell: Cell) -> None:
        self._look_up_keys(cell)
        cell.entries = cell.journal(fresh=True)
        cell.requests = self._sides.requests(cell)
        cell.postings = self._sides.postings(cell)

    @staticmethod
    def sound() -> list[str]:
        """What is wrong with any mission that is still there, or was not archived."""
        wrong = [f"{mission.type}: its chain" for mission in Mission.objects.all() if not history.verify(mission).ok]
        give_up = time.monotonic() + 20  # whoever buries the last one may be about to
        while Worker.objects.filter(dead_at=None).exists() and time.monotonic() < give_up:
            time.sleep(0.05)
        wrong += [f"{worker} is not buried" for worker in Worker.objects.filter(dead_at=None)]
        return wrong + [f"{one.uid} is not archived" for one in Archived.objects.filter(removed_at=None)]
