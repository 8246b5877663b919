"""One fragment, one DOM id, one renderer: for the page, the htmx reply and the push over a socket.

Owns the HTML of a mission's live parts. Who may see them is checked by the caller, each time. `oob` marks a fragment
for a swap by its id.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse

from missions.models import Kind, Mission
from observability.console.branches import Lineage, branches_of, lineage_of
from observability.console.heads import artifacts_of, head_of, ledger_of
from observability.console.steering import desk_of
from observability.console.waiting import open_for
from observability.projections import Observation, narrate, observe
from observability.rail import RailItem
from observability.wording import span, visible

if TYPE_CHECKING:
    from django.contrib.auth.models import User

NARRATIVE, LOG = "narrative", "log"
PAYLOAD_SHOWN = 20_000  # characters of pretty-printed payload; the API has the rest
PAUSE_SECONDS = 300  # a pause as long as this is told between two items


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a rail is drawn against: the current timeline, and where its reader may roll back (empty: nowhere)."""

    lineage: Lineage = field(default_factory=Lineage)
    roll_back: str = ""
    address: str = ""  # of the mission's page

    @classmethod
    def of(cls, mission: Mission, power: str) -> Scene:
        """The scene of a mission for one kind of viewer."""
        address = reverse("mission-roll-back", args=[mission.uid]) if desk_of(mission, power).roll_back else ""
        page = reverse("mission", args=[mission.uid])
        return cls(lineage=lineage_of(mission), roll_back=address, address=page)

    def back_to(self, item: RailItem) -> str:
        """The address that rolls back to an item; empty where it is no checkpoint."""
        return f"{self.roll_back}?to={item.seq}" if self.roll_back and self.lineage.checkpoint(item) else ""

    def rests(self, item: RailItem) -> str:
        """The page of what rests on a decision of the mission itself."""
        return f"{self.address}decided/{item.seq}/" if self.address and item.kind == Kind.DECIDED else ""


PLAIN = Scene()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An observation in the narrative, and what stands above it."""

    observation: Observation
    new_day: bool
    pause: str
    left: bool  # left behind by the current timeline
    back_to: str  # the address that rolls back to here; empty where nobody asks for it
    rests: str  # the page of what rests on this decision of the mission; empty for anything else


def mission_header(mission: Mission, seen: Q, *, oob: bool = False) -> str:
    """`#mission-header-UID`, for a reader who may see these missions."""
    return render_to_string("missions/header.html", {"head": head_of(mission, seen), "oob": oob})


def effects_ledger(mission: Mission, *, oob: bool = False) -> str:
    """`#effects-UID`."""
    return render_to_string("missions/effects.html", {"mission": mission, "lines": ledger_of(mission), "oob": oob})


def artifacts(mission: Mission, *, oob: bool = False) -> str:
    """`#artifacts-UID`."""
    context = {"mission": mission, "artifacts": artifacts_of(mission), "oob": oob}
    return render_to_string("missions/artifacts.html", context)


def controls(mission: Mission, power: str, *, oob: bool = False) -> str:
    """`#controls-UID`, for one kind of viewer."""
    return render_to_string("missions/controls.html", {"desk": desk_of(mission, power), "oob": oob})


def timelines(mission: Mission, *, oob: bool = False) -> str:
    """`#timelines-UID`."""
    context = {"mission": mission, "branches": branches_of(mission), "oob": oob}
    return render_to_string("missions/timelines.html", context)


def queue_count(user: User | AnonymousUser, *, oob: bool = False) -> str:
    """`#nav-queue-count`."""
    return render_to_string("observability/queue_count.html", {"queue_open": open_for(user), "oob": oob})


def rail(items: list[RailItem], view: str, last_at: dt.datetime | None = None, scene: Scene = PLAIN) -> str:
    """The `#rail-CURSOR` elements of items: list items of the narrative, or table rows of the log.

    `last_at` is when the item before them happened; days and long pauses are told from it.
    """
    if view == LOG:
        return "".join(render_to_string("missions/log_row.html", {"line": _log_line(item, scene)}) for item in items)
    told = placed(items, last_at, scene)
    return "".join(render_to_string("missions/rail_item.html", {"placed": one}) for one in told)


def rail_addition(
    items: list[RailItem], view: str, last_at: dt.datetime | None = None, scene: Scene = PLAIN
) -> str:
    """What appends items to `#rail`; empty where the view shows none of them."""
    rows = rail(items, view, last_at, scene)
    return render_to_string("missions/rail_addition.html", {"rows": rows, "view": view}) if rows else ""


def placed(items: list[RailItem], last_at: dt.datetime | None, scene: Scene = PLAIN) -> Iterator[Placed]:
    """The narrative with its days, its pauses, and what was left behind."""
    left = False
    for told in narrate(items):
        judged = scene.lineage.left(told.item)
        left = left if judged is None else judged
        pause = (told.at - last_at).total_seconds() if last_at else 0.0
        yield Placed(
            observation=told, new_day=last_at is None or told.at.date() != last_at.date(),
            pause=f"{span(pause)} later" if pause >= PAUSE_SECONDS else "", left=left,
            back_to=scene.back_to(told.item), rests=scene.rests(told.item),
        )  # fmt: skip
        last_at = told.at


def _log_line(item: RailItem, scene: Scene) -> dict[str, Any]:
    text = visible(json.dumps(item.payload, ensure_ascii=False, indent=2, sort_keys=True))
    told: Observation = observe(item)
    return {
        "item": item, "told": told, "payload": text[:PAYLOAD_SHOWN], "cut": max(0, len(text) - PAYLOAD_SHOWN),
        "path": visible(item.path), "left": scene.lineage.left(item), "back_to": scene.back_to(item),
    }  # fmt: skip
