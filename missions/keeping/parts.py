"""What a bundle consists of: the parts, and who must be asked before a mission leaves.

Layers above and other tables contribute through `contributor` and `keeper`, at start-up, in every process. A row that
refers to a mission and belongs to no part makes the removal fail as a whole, so nothing can be lost by being forgotten.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import QuerySet

from missions.keeping import rows
from missions.models import (
    ENDED,
    Artifact,
    Blob,
    BlobUse,
    Brief,
    Child,
    Dependency,
    Effect,
    Engagement,
    Entry,
    Forked,
    Goal,
    Hold,
    Mission,
    Outcome,
    Payload,
    Portion,
    SharedChild,
    Signal,
    Takeover,
    Timeline,
    WrongMark,
)
from missions.models.fields import DatabaseNow

Json = dict[str, Any]
Of = Callable[[int], QuerySet[Any]]
Keeper = Callable[[list[int]], Iterable[int]]
TOGETHER = 100  # rows restored in one statement
HOT = "entries"  # the one part that may be long


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Rows of one table that belong to a mission; `of` gives them, in an order that never changes."""

    name: str
    model: type[models.Model]
    of: Of
    shared: bool = False  # others may need the rows as well: they never change, and collection removes them

    def told(self, mission_id: int) -> Iterator[Json]:
        """The rows as plain JSON."""
        found = self.of(mission_id)
        for row in found.iterator(chunk_size=self.together) if self.name == HOT or self.shared else found:
            yield _with_body(row) if isinstance(row, Entry) else _without_offer(rows.dump(row), row)

    @property
    def together(self) -> int:
        """How many rows are in memory at once; portions of content are large."""
        return 1 if self.model is Portion else TOGETHER

    def remove(self, mission_id: int) -> None:
        """Delete the rows and nothing else: what refers to them is no business of a cascade's. Shared ones stay."""
        if self.shared:
            return
        found = self.of(mission_id).order_by()
        found._raw_delete(using=found.db)  # no public way deletes without a collector

    def restore(self, values: list[Json]) -> None:
        """Put rows back."""
        if self.model is Entry:
            _store_bodies(values)
        if self.shared:
            _offer(self.model, values)
            return
        self.model._base_manager.bulk_create([rows.load(self.model, value) for value in values], batch_size=TOGETHER)


_parts: dict[str, Part] = {}
_keepers: dict[str, Keeper] = {}


def contributor(name: str, model: type[models.Model], *, shared: bool = False) -> Callable[[Of], Of]:
    """Register a part: the function gives the rows of a mission id, ordered, as a query set without joins.

    `shared` rows are content by its digest, which other missions may need too: they are bundled, and not removed.
    Parts that find their rows by those of another part come after it: they are removed in the opposite order.
    """

    def register(of: Of) -> Of:
        _parts[name] = Part(name=name, model=model, of=of, shared=shared)
        return of

    return register


def keeper(name: str) -> Callable[[Keeper], Keeper]:
    """Register a say in what stays: the function gets ids of ended missions and names those that may not leave yet."""

    def register(function: Keeper) -> Keeper:
        _keepers[name] = function
        return function

    return register


def all_parts() -> list[Part]:
    """Every part, the mission's row first."""
    return list(_parts.values())


def part(name: str) -> Part | None:
    """The part of this name; None where this process does not know it."""
    return _parts.get(name)


def kept(mission_ids: list[int]) -> dict[int, str]:
    """Of these missions those that may not leave yet, and the name of a keeper that says so."""
    return {one: name for name, asked in _keepers.items() for one in asked(mission_ids)} if mission_ids else {}


def _with_body(entry: Entry) -> Json:
    """An entry with its payload, wherever that lies."""
    told = rows.dump(entry)
    if entry.stored is not None:
        found = Payload.objects.filter(pk=bytes(entry.stored)).first()
        told["body"] = base64.b64encode(bytes(found.body)).decode() if found else None
    return told


def _without_offer(told: Json, row: models.Model) -> Json:
    """When content was offered last is no part of what it is: the same rows give the same bytes."""
    return {name: value for name, value in told.items() if name != "stored_at"} if isinstance(row, Blob) else told


def _store_bodies(values: list[Json]) -> None:
    for value in values:
        if value.get("body") is not None:
            body = base64.b64decode(value["body"])
            digest = base64.b64decode(value["stored"])
            Payload.objects.bulk_create([Payload(digest=digest, body=body)], ignore_conflicts=True)


def _offer(model: type[models.Model], values: list[Json]) -> None:
    """Put content back where it is not: what is there is the same, and is marked as wanted, so that it stays."""
    found = [rows.load(model, value) for value in values]
    model._base_manager.bulk_create(found, ignore_conflicts=True)
    if model is Blob:
        Blob.objects.filter(pk__in=[bytes(row.pk) for row in found]).update(stored_at=DatabaseNow())


# -- The engine's own --------------------------------------------------------------------------------------------------

contributor("mission", Mission)(lambda one: Mission.objects.filter(pk=one).order_by("pk"))
contributor("brief", Brief)(lambda one: Brief.objects.filter(pk=one).order_by("pk"))
contributor("child", Child)(lambda one: Child.objects.filter(pk=one).order_by("pk"))
contributor("dependencies", Dependency)(lambda one: Dependency.objects.filter(mission_id=one).order_by("pk"))
contributor("shared_children", SharedChild)(lambda one: SharedChild.objects.filter(mission_id=one).order_by("pk"))
contributor("forked", Forked)(lambda one: Forked.objects.filter(pk=one).order_by("pk"))
contributor("wrong", WrongMark)(lambda one: WrongMark.objects.filter(mission_id=one).order_by("seq"))
contributor("outcome", Outcome)(lambda one: Outcome.objects.filter(pk=one).order_by("pk"))
contributor("timelines", Timeline)(lambda one: Timeline.objects.filter(mission_id=one).order_by("number"))
contributor(HOT, Entry)(lambda one: Entry.objects.filter(mission_id=one).order_by("seq"))
contributor("signals", Signal)(lambda one: Signal.objects.filter(mission_id=one).order_by("seq"))
contributor("effects", Effect)(lambda one: Effect.objects.filter(mission_id=one).order_by("seq", "pk"))
contributor("engagements", Engagement)(lambda one: Engagement.objects.filter(mission_id=one).order_by("seq"))
contributor("goals", Goal)(lambda one: Goal.objects.filter(mission_id=one).order_by("version"))
contributor("takeovers", Takeover)(lambda one: Takeover.objects.filter(mission_id=one).order_by("pk"))
contributor("artifacts", Artifact)(lambda one: Artifact.objects.filter(mission_id=one).order_by("seq"))
contributor("uses", BlobUse)(lambda one: BlobUse.objects.filter(mission_id=one).order_by("digest"))
contributor("blobs", Blob, shared=True)(lambda one: Blob.objects.filter(pk__in=_digests(one)).order_by("pk"))
contributor("portions", Portion, shared=True)(
    lambda one: Portion.objects.filter(digest__in=_digests(one)).order_by("digest", "number")
)


def _digests(mission_id: int) -> QuerySet[Any, Any]:
    return BlobUse.objects.filter(mission_id=mission_id).values("digest")


@keeper("hold")
def held(mission_ids: list[int]) -> Iterable[int]:
    """Missions on which somebody placed a hold."""
    return Hold.objects.filter(pk__in=mission_ids).values_list("pk", flat=True)


@keeper("relatives")
def related(mission_ids: list[int]) -> Iterable[int]:
    """Missions whose children go on, or whose parent does, or a fork of it, and may still ask how they ended."""
    going_on = Mission.objects.exclude(state__in=ENDED)
    pairs = Mission.objects.filter(pk__in=mission_ids, parent__isnull=False).values_list("pk", "parent")
    parents = {child: parent for child, parent in pairs if parent}
    living = set(going_on.filter(pk__in=set(parents.values())).values_list("pk", flat=True)) if parents else set()
    asking = going_on.filter(parent__in=mission_ids).values_list("parent", flat=True)
    heirs = SharedChild.objects.filter(child_id__in=mission_ids, mission_id__in=going_on.values("pk"))
    return {
        *(parent for parent in asking if parent), *(one for one, parent in parents.items() if parent in living),
        *heirs.values_list("child_id", flat=True),
    }


@keeper("awaited")
def awaited(mission_ids: list[int]) -> Iterable[int]:
    """Missions after which another one starts that has not ended: how they ended decides whether it may."""
    after = Dependency.objects.filter(on_mission_id__in=mission_ids).values_list("mission_id", "on_mission_id")
    pairs = list(after)
    going_on = Mission.objects.filter(pk__in={one for one, _ in pairs}).exclude(state__in=ENDED)
    waiting = set(going_on.values_list("pk", flat=True)) if pairs else set()
    return {on for one, on in pairs if one in waiting}
