"""The list of missions: filters, keyset pages, and what each row says. Reads only."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.contrib.auth.models import AnonymousUser
from django.db.models import Prefetch, QuerySet

from approvals.models import Decision, Tier, TierState
from missions.agents import engagements
from missions.models import Mission, State
from missions.web.access import visible_missions
from observability.console.words import STATES, Badge, Wait, wait_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PAGE = 50
BESIDE = 10  # further decisions in the head of a mission; the queue has all
OPEN_TIERS = Prefetch("tiers", Tier.objects.filter(state=TierState.OPEN))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the reader looks for; empty where it does not matter. Unknown values are as good as none."""

    state: str = ""
    type: str = ""
    text: str = ""
    agent: str = ""
    after: uuid.UUID | None = None  # the last mission of the page before

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filters:
        """The filters of a query string."""
        state = query.get("state", "")
        return cls(
            state=state if state in State.values else "", type=query.get("type", "")[:100],
            text=query.get("q", "").replace("\x00", "").strip()[:200], after=uuid_of(query.get("after", "")),
            agent=query.get("agent", "").replace("\x00", "").strip()[:100],
        )  # fmt: skip

    @property
    def active(self) -> bool:
        """Whether anything is filtered."""
        return bool(self.state or self.type or self.text or self.agent)

    def query(self, after: uuid.UUID | None = None) -> str:
        """The same filters as a query string, on the page after `after`."""
        parts = {"q": self.text, "state": self.state, "type": self.type, "agent": self.agent}
        parts["after"] = str(after) if after else ""
        return urlencode({name: value for name, value in parts.items() if value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One mission in the list."""

    mission: Mission
    badge: Badge
    wait: Wait | None
    since: dt.datetime | None  # since when it waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of rows, newest first; `next` is the query string of the page after it, empty on the last."""

    rows: list[Row]
    next: str


def page(user: User | AnonymousUser, filters: Filters) -> Page:
    """The missions that the user may see and that fit, newest first. Three statements, whatever the number of rows."""
    found = list(matching(visible_missions(user), filters)[: PAGE + 1])
    shown = found[:PAGE]
    asked = decisions_of(shown)
    rows = [row_of(mission, asked) for mission in shown]
    return Page(rows=rows, next=filters.query(shown[-1].uid) if len(found) > PAGE else "")


def row_of(mission: Mission, asked: Mapping[str, Decision]) -> Row:
    """One row; `asked` holds the decisions that missions wait for, by `waits_for`."""
    wait = wait_in_words(mission, asked)
    return Row(mission=mission, badge=STATES[mission.state], wait=wait, since=mission.waits_since)


def wait_in_words(mission: Mission, asked: Mapping[str, Decision]) -> Wait | None:
    """What a mission waits for; None where it runs or has ended."""
    if mission.ended or mission.state == State.RUNNING:
        return None
    decision = asked.get(mission.waits_for)
    groups = _groups(decision) if decision else []
    return wait_of(mission.waits_for, mission.state, mission.reason, decision.sentence if decision else "", groups)


def _groups(decision: Decision) -> list[str]:
    return [tier.label for tier in decision.tiers.all()]


def decisions_of(missions: Iterable[Mission]) -> dict[str, Decision]:
    """The decisions that these missions wait for with their open tiers, by `waits_for`. At most two statements."""
    waits = {mission.waits_for for mission in missions if mission.waits_for.startswith("decision:")}
    ids = [found for wait in waits if (found := uuid_of(wait.partition(":")[2]))]
    if not ids:
        return {}
    return {f"decision:{one.pk}": one for one in Decision.objects.filter(pk__in=ids).prefetch_related(OPEN_TIERS)}


def asked_beside(mission: Mission, wait: Wait | None) -> list[Wait]:
    """What people are asked for this mission beside `wait`, oldest first, up to one more than `BESIDE`."""
    if mission.ended:
        return []
    rows = Decision.objects.open().filter(mission_id=mission.pk).order_by("opened_at", "pk")
    if wait is not None and (told_already := uuid_of(wait.decision)):
        rows = rows.exclude(pk=told_already)
    found = rows.prefetch_related(OPEN_TIERS)[: BESIDE + 1]
    told = (wait_of(f"decision:{one.pk}", State.WAITING, "", one.sentence, _groups(one)) for one in found)
    return [wait for wait in told if wait is not None]


def matching(missions: QuerySet[Mission], filters: Filters) -> QuerySet[Mission]:
    """The missions that fit, newest first, with what a row needs."""
    if filters.state:
        missions = missions.filter(state=filters.state)
    if filters.type:
        missions = missions.filter(type=filters.type)
    if filters.agent:
        missions = missions.filter(engagements.with_agent(filters.agent))
    if filters.text:
        missions = missions.filter(brief__title__icontains=filters.text)
    if filters.after:
        missions = missions.filter(uid__lt=filters.after)
    return missions.select_related("brief__started_by", "outcome").order_by("-uid")


def uuid_of(text: str) -> uuid.UUID | None:
    """The uuid that a text is; None for any other text."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
