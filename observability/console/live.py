"""What a live socket reads: whether its person may still look, and what is new. Synchronous; run in a thread.

Nothing is remembered here: each answer is the database's at that moment.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from importlib import import_module

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Q

from missions.models import Mission
from missions.visibility import seen_by
from observability import stream
from observability.console import fragments
from observability.console.steering import power_of
from observability.projections import is_quiet

SessionStore = import_module(settings.SESSION_ENGINE).SessionStore
BATCH = 100  # rail items in one message


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: a user, and the session that they signed in with (empty where there is none)."""

    user_id: int
    session_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """What to append to a rail, the cursor after it, and whether there is or will be more at once."""

    html: str
    cursor: str
    last_at: dt.datetime | None
    more: bool  # read on now
    hidden: bool  # newer items wait for another transaction to end: read again soon


def person(viewer: Viewer) -> User | None:
    """The viewer's user, unless they were deactivated or their session has ended."""
    if viewer.session_key and not SessionStore(viewer.session_key).load():
        return None
    return User.objects.filter(pk=viewer.user_id, is_active=True).first()


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a viewer may do with a mission (`steering.power_of`), and which others they may see; alike for most."""

    power: str
    seen: Q


def outlook(viewer: Viewer, mission_id: int) -> Outlook | None:
    """How this viewer looks at the mission; None where they may not see it now."""
    user = person(viewer)
    if user is None:
        return None
    seen = seen_by(user)
    found = Mission.objects.filter(seen, pk=mission_id).select_related("brief").first()
    return Outlook(power_of(user, found), seen) if found is not None else None


def addition(mission_id: int, after: str, last_at: dt.datetime | None, view: str, power: str) -> Addition:
    """What follows a cursor in the rail of a mission, rendered for one kind of viewer."""
    found = stream.tail(mission_id, after, BATCH)
    scene = fragments.Scene.of(Mission.objects.get(pk=mission_id), power) if found.items else fragments.PLAIN
    shown = [item.at for item in found.items if not is_quiet(item)]
    return Addition(
        html=fragments.rail_addition(found.items, view, last_at, scene), cursor=found.next,
        last_at=shown[-1] if shown else last_at, more=len(found.items) == BATCH, hidden=found.hidden,
    )  # fmt: skip


def place(mission_id: int, since: str) -> tuple[str, dt.datetime | None]:
    """The cursor that a client names, and when its item happened. A plain number is a seq. Raises BadCursor."""
    text = stream.cursor_at(mission_id, int(since)) if since.isdecimal() and len(since) < 10 else since
    if not text:
        return "", None
    cursor = stream.Cursor.parse(text)
    if cursor.mission_id != mission_id:
        raise stream.BadCursor(f"{text!r} is a cursor of another mission's rail.")
    return text, stream.moment_of(cursor)


def surroundings(mission_id: int, viewed: Outlook) -> dict[str, str]:
    """The fragments around the rail for those who look at it alike, by name."""
    mission = Mission.objects.select_related("brief__started_by", "outcome").get(pk=mission_id)
    header = fragments.mission_header(mission, viewed.seen, oob=True)
    effects = fragments.effects_ledger(mission, oob=True)
    told = {
        "header": header, "effects": effects, "artifacts": fragments.artifacts(mission, oob=True),
        "timelines": fragments.timelines(mission, oob=True),
    }  # fmt: skip
    return told | ({"controls": fragments.controls(mission, viewed.power, oob=True)} if viewed.power else {})


def timeline(mission_id: int) -> int:
    """The number of the mission's current timeline."""
    return Mission.objects.values_list("timeline", flat=True).get(pk=mission_id)


def queue_count(viewer: Viewer) -> str:
    """The count of decisions that wait for the viewer; empty where they may not look any more."""
    user = person(viewer)
    return fragments.queue_count(user, oob=True) if user is not None else ""
