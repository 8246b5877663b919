"""Which decisions a person is shown, in which order, page by page; the same for the queue page and the API.

Reads only. Every list starts from what its reader may see.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet, TextChoices, Value

from approvals.models import Decision, DecisionKind, DecisionState
from approvals.models.decision import DecisionQuerySet
from approvals.models.reach import Standing
from missions.models.fields import DatabaseNow
from missions.web.pagination import cursor_of, limit_of, place_of
from missions.web.parsers import text_fault
from missions.web.problems import problem

DUE_SOON = dt.timedelta(hours=4)
WORD, QUARTER = 1 << 32, 4  # a uuid travels in a cursor as four 32-bit numbers
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
SEARCH_LENGTH = 200
COUNTED = 100  # no count goes further: a page says "99+"


class View(TextChoices):
    """The saved views of the queue."""

    MY_TIERS = "my_tiers", "My tiers"  # waits for my vote
    MINE = "mine", "Mine"  # claimed by me
    UNCLAIMED = "unclaimed", "Unclaimed"  # open, and nobody has taken it
    DUE_SOON = "due_soon", "Due soon"  # open, due within four hours or overdue
    IN_DOUBT = "in_doubt", "In doubt"  # open: did this effect happen
    POLICY_CHANGES = "policy_changes", "Policy changes"  # open: may this policy come into force
    OPEN = "open", "All open"  # everything open that I may see
    DONE = "done", "Done"  # settled


def of_view(user: User, view: View, standing: Standing | None = None) -> DecisionQuerySet:
    """The decisions of a saved view, as this person sees it; their standing is read unless it is given."""
    if view == View.MY_TIERS and user.is_active:
        return Decision.objects.for_voter(user, standing)  # who is asked sees what is asked
    seen = Decision.objects.visible_to(user, standing)
    if view == View.DONE:
        return seen.exclude(state=DecisionState.OPEN)
    opened = seen.open()
    if view == View.MINE:
        return opened.claimed().filter(claimed_by=user)
    if view == View.UNCLAIMED:
        return opened.unclaimed()
    if view == View.DUE_SOON:
        return opened.filter(due_at__lte=DatabaseNow() + DUE_SOON)
    if view == View.IN_DOUBT:
        return opened.filter(kind=DecisionKind.IN_DOUBT)
    if view == View.POLICY_CHANGES:
        return opened.filter(kind=DecisionKind.POLICY_CHANGE)
    return opened


def counts(standing: Standing) -> dict[str, int]:
    """How many decisions each view of open ones holds for this person, counted up to `COUNTED`. One statement."""
    views = {view: of_view(standing.user, view, standing) for view in View if view != View.DONE}
    few = [rows.order_by().annotate(of=Value(str(view))).values_list("of")[:COUNTED] for view, rows in views.items()]
    found = Counter(of for (of,) in few[0].union(*few[1:], all=True))
    return {view: found[view] for view in views}


def filtered(rows: DecisionQuerySet, params: Mapping[str, str]) -> DecisionQuerySet:
    """The rows that the query parameters `kind`, `state`, `tier` and `q` leave. Raises Problem (400)."""
    if kind := _one_of(params, "kind", DecisionKind.values):
        rows = rows.filter(kind=kind)
    if state := _one_of(params, "state", DecisionState.values):
        rows = rows.filter(state=state)
    if tier := _text(params, "tier"):
        rows = rows.waiting_for(tier)
    if text := _text(params, "q").strip()[:SEARCH_LENGTH]:
        rows = rows.filter(searched__icontains=text)
    return rows


def _text(params: Mapping[str, str], name: str) -> str:
    value = params.get(name, "")
    if fault := text_fault(value):
        raise problem(400, "bad_parameter", f"{name} {fault[1]}.", parameter=name)
    return value


def _one_of(params: Mapping[str, str], name: str, known: list[str]) -> str:
    value = params.get(name, "")
    if value and value not in known:
        raise problem(400, "bad_parameter", f"{name} must be one of {', '.join(known)}.", parameter=name)
    return value


def view_of(params: Mapping[str, str]) -> View | None:
    """The saved view that is asked for, None for none; `my-tiers` is read as `my_tiers`. Raises Problem (400)."""
    value = _one_of({"view": params.get("view", "").replace("-", "_")}, "view", View.values)
    return View(value) if value else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order of decisions by a time, then by id; rows without the time come last."""

    field: str
    latest_first: bool
    may_lack: bool = False  # whether rows without the time exist

    def apply(self, rows: QuerySet[Decision]) -> QuerySet[Decision]:
        """The rows in this order."""
        return rows.order_by(f"-{self.field}" if self.latest_first else self.field, "pk")

    def take(self, rows: QuerySet[Decision], cursor: str, most: int) -> list[Decision]:
        """The first rows after a cursor. Raises Problem (400).

        Rows with the time and those without are read apart: each is a range of the index, which their union is not.
        """
        timed, lacking = rows.filter(**{f"{self.field}__isnull": False}), rows.none()
        if self.may_lack:
            lacking = self.apply(rows.filter(**{f"{self.field}__isnull": True}))  # as the index goes
        if cursor:
            has_time, micros, *words = place_of(cursor, 2 + QUARTER)
            if not has_time:
                return list(lacking.filter(pk__gt=_uuid_of(words))[:most])
            timed = self._beyond(timed, _moment(micros), _uuid_of(words))
        found = list(self.apply(timed)[:most])
        return found if len(found) == most else [*found, *lacking[: most - len(found)]]

    def _beyond(self, rows: QuerySet[Decision], at: dt.datetime, last: uuid.UUID) -> QuerySet[Decision]:
        beyond = "lt" if self.latest_first else "gt"
        place = Q(**{f"{self.field}__{beyond}": at}) | Q(**{self.field: at, "pk__gt": last})
        return rows.filter(place, **{f"{self.field}__{beyond}e": at})  # the last is what the index goes by

    def place(self, row: Decision) -> tuple[int, ...]:
        """Where a row stands, for a cursor."""
        at: dt.datetime | None = getattr(row, self.field)
        micros = (at - EPOCH) // dt.timedelta(microseconds=1) if at else 0
        return (int(at is not None), micros, *_words_of(row.pk))


BY_DUE = Order(field="due_at", latest_first=False, may_lack=True)
BY_END = Order(field="resolved_at", latest_first=True)
BY_OPENING = Order(field="opened_at", latest_first=True)


def _words_of(key: uuid.UUID) -> list[int]:
    return [key.int >> 32 * shift & WORD - 1 for shift in reversed(range(QUARTER))]


def _uuid_of(words: list[int]) -> uuid.UUID:
    value = 0
    for word in words:
        value = value << 32 | word % WORD
    return uuid.UUID(int=value)


def _moment(micros: int) -> dt.datetime:
    try:
        return EPOCH + dt.timedelta(microseconds=micros)
    except OverflowError as error:
        raise problem(400, "bad_cursor", "Use the `next` of the page before, unchanged.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of decisions with all that a row shows."""

    rows: list[Decision]
    next: str | None


def page(
    user: User, params: Mapping[str, str], *, view: View | None, mission_id: int | None = None,
    standing: Standing | None = None,
) -> Page:
    """A page of a view, or of all that this person may see, also of one mission only. Raises Problem (400)."""
    seen = of_view(user, view, standing) if view else Decision.objects.visible_to(user, standing)
    rows = filtered(seen, params)
    if mission_id is not None:
        rows = rows.filter(mission_id=mission_id)
    order, limit = _order(view, params), limit_of(params)
    keys = [row.pk for row in order.take(rows.only("pk", order.field), params.get("cursor", ""), limit + 1)]
    found = _in_order(with_details(Decision.objects.filter(pk__in=keys)), keys)  # joined only once they are few
    more = len(found) > limit
    return Page(rows=found[:limit], next=cursor_of(*order.place(found[limit - 1])) if more else None)


def _order(view: View | None, params: Mapping[str, str]) -> Order:
    if view == View.DONE:
        return BY_END
    return BY_DUE if view or params.get("state") == DecisionState.OPEN else BY_OPENING


def with_details(rows: QuerySet[Decision]) -> QuerySet[Decision]:
    """The rows with mission, claimant, tiers and votes loaded, in a fixed number of statements."""
    return rows.select_related("mission__brief__started_by", "claimed_by", "requested_by").prefetch_related(
        "tiers__approvers__person", "votes__voter", "votes__on_behalf_of"
    )


def seen(user: User, decision_id: uuid.UUID) -> Decision | None:
    """One decision with its details; None where there is none, or this person may not see it."""
    rows: Any = with_details(Decision.objects.visible_to(user))
    found: Decision | None = rows.filter(pk=decision_id).first()
    return found


def seen_of(user: User, wanted: list[uuid.UUID]) -> list[Decision]:
    """Those of these decisions that this person may see, with their details, in the order given."""
    return _in_order(with_details(Decision.objects.visible_to(user).filter(pk__in=wanted)), wanted)


def _in_order(rows: QuerySet[Decision], keys: list[uuid.UUID]) -> list[Decision]:
    found = {row.pk: row for row in rows}
    return [found[key] for key in dict.fromkeys(keys) if key in found]
