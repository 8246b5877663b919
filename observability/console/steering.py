"""What a person may do with a mission now, in words; and what was asked of it and not taken yet. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser

from missions.engine import codec, history
from missions.engine.claims import CONTROL
from missions.engine.controls import VERBS
from missions.models import Entry, Kind, Mission, Signal, State
from missions.web.access import may_control, may_direct, may_steer
from observability.wording import clean, sentence

if TYPE_CHECKING:
    from django.contrib.auth.models import User

STEER, DIRECT, WATCH = "steer", "direct", ""  # what a viewer may do; pages are rendered once for each


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A control in words."""

    verb: str
    label: str  # of its button
    icon: str
    does: str  # what it does, before it is asked for
    noun: str  # how it is called where it was asked for
    danger: bool = False


CONTROLS = {one.verb: one for one in (
    Control(verb="pause", label="Pause", icon="pause", noun="Pause",
            does="What runs comes to its record first; then nothing happens until somebody resumes it."),
    Control(verb="stop", label="Stop", icon="ban", noun="Stop", danger=True,
            does="A running step is cut off at once, and runs again when the mission is resumed."),
    Control(verb="resume", label="Resume", icon="play", noun="Going on", does="It goes on from where it stands."),
    Control(verb="retry", label="Retry", icon="retry", noun="Another try",
            does="It goes on from the last checkpoint. What failed is tried again; what was done stands."),
    Control(verb="cancel", label="Cancel", icon="cross", noun="Cancelling", danger=True,
            does="It ends, and nothing more happens. What it did stands, unless its effects are undone first."),
    Control(verb="rollback", label="Roll back", icon="undo", noun="Rolling back", danger=True,
            does="What came after a point is undone where it can be, and it goes on from there."),
    Control(verb="amend", label="Amend the goal", icon="flag", noun="Another goal",
            does="Policy rules on it. What was asked for under the old goal then counts no more."),
)}  # fmt: skip
DIRECT_VERBS = ("resume", "retry", "pause", "stop")  # asked for by one button; the others have pages of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the controls of one mission offer to one kind of viewer."""

    mission: Mission
    buttons: list[Control]
    cancel: bool
    roll_back: bool
    fork: bool  # and replaying
    goal: bool

    @property
    def empty(self) -> bool:
        """Whether there is nothing to offer."""
        return not (self.buttons or self.cancel or self.roll_back or self.fork or self.goal)


def power_of(user: User | AnonymousUser, mission: Mission) -> str:
    """What kind of viewer somebody is. `mission` comes with its brief."""
    if may_steer(user):
        return STEER
    return DIRECT if may_direct(user, mission) else WATCH


def desk_of(mission: Mission, power: str) -> Desk:
    """The controls that mean something in the mission's state, for this kind of viewer."""
    steers = power == STEER
    allowed = [verb for verb in DIRECT_VERBS if steers or (power == DIRECT and verb != "retry")]
    return Desk(
        mission=mission, buttons=[CONTROLS[verb] for verb in allowed if mission.state in VERBS[verb]],
        cancel=power != WATCH and mission.state in VERBS["cancel"],
        roll_back=steers and mission.state in VERBS["rollback"], fork=steers,
        goal=power != WATCH and mission.state in VERBS["amend"],
    )


def applies(user: User | AnonymousUser, mission: Mission, verb: str) -> tuple[bool, bool]:
    """Whether this person may ask for the control, and whether it means something in the mission's state."""
    return may_control(user, mission, verb), mission.state in VERBS[verb]


def pending_of(mission: Mission) -> list[str]:
    """What people asked of it and it has not done yet: "Pause asked for by olivia"."""
    if mission.control_seq <= mission.control_done:
        return []
    rows = Signal.objects.filter(mission_id=mission.pk, name=CONTROL, seq__gt=mission.control_done).order_by("seq")
    asked = [codec.load(row.payload) for row in rows]
    return [
        f"{CONTROLS[one['verb']].noun} asked for{' by ' + clean(one['by'], 150) if one.get('by') else ''}"
        for one in asked if one.get("verb") in CONTROLS
    ]  # fmt: skip


def paused_by(mission: Mission) -> str:
    """Who paused it and what they said, or what keeps it from going on; empty unless it is paused."""
    if mission.state != State.PAUSED:
        return ""
    rows = Entry.objects.filter(mission_id=mission.pk, kind=Kind.PAUSED).order_by("-seq")[:1]
    told = next((entry.payload for entry in history.decode(list(rows))), {})
    who, detail = clean(told.get("by") or "", 150), sentence(told.get("detail") or "")
    return f"{who}: {detail}" if who and detail else who or detail


NEXT = {
    "violation": "Answer what is asked, or deploy code that takes this from a tool and choose to try again.",
    "divergence": "Answer what is asked, or deploy the code that it was recorded with and choose to try again.",
    "control failed": "What was asked of it broke off. Resume it, or ask again.",
    "agent unknown": "Make the agent here and resume, or roll back to before it began, to have it work anew.",
    "agent changed": "Roll back to before the agent began: it works anew then, under the version in force here.",
}


def next_step(mission: Mission) -> str:
    """What a person can do where a mission stands still or failed."""
    if mission.state == State.PAUSED:
        return NEXT.get(mission.reason, "It keeps the messages that come. Resume it to let it go on.")
    if mission.state == State.FAILED:
        return "Operators may retry it from its last checkpoint, or roll it back."
    return ""
