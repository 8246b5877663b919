"""Stop buttons: pressing and lifting them, and holding up the missions whose calls they stop.

A stop is announced as it commits, and each worker knows of it within milliseconds (`missions.engine.limits.Rules`):
missions that it stops leave memory, and no call that it stops starts. Calls under way come to their outcome, since
what was sent can not be called back. Missions that stand at a stop are told when it is lifted, in waves.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError, transaction

from missions.engine import alarms, feed, mailbox
from missions.engine.clock import database_now
from missions.errors import AlreadyStopped, InvalidInput, MissionEnded, UnknownMission, UnknownStop
from missions.models import Held, Mission, Stop, StopScope

if TYPE_CHECKING:
    from missions.engine.leaving import Leaving

logger = logging.getLogger(__name__)
NAME_LENGTH, REASON_LENGTH = 200, 2000
WAVE = dt.timedelta(milliseconds=100)  # between two waves of MISSIONS_WAKES_AT_ONCE


@dataclass(frozen=True, slots=True)
class Stops:
    """The stops in force: scope and name → id."""

    ids: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.ids)

    def of_type(self, type: str) -> int | None:
        """The stop that missions of this type come under."""
        return self._first((StopScope.ALL, ""), (StopScope.MISSION_TYPE, type))

    def of_call(self, type: str, tool: str, agent: str) -> int | None:
        """The stop that a call in a mission of this type comes under, in an agent's name or in none's."""
        return self._first(
            (StopScope.ALL, ""), (StopScope.MISSION_TYPE, type), (StopScope.TOOL, tool), (StopScope.AGENT, agent)
        )

    def send_away(self, *runs: Leaving) -> None:
        """Have the missions whose type is stopped leave memory; what a control does has only its calls held up."""
        for run in runs if self.ids else ():
            if not run.of_control and self.of_type(run.claimed.type) is not None:
                run.close({"verb": "stop"})

    def _first(self, *asked: tuple[str, str]) -> int | None:
        return next((self.ids[key] for key in asked if key in self.ids), None) if self.ids else None

    @property
    def types(self) -> list[str]:
        """The mission types that are stopped; `*` for all, as limits on types name them."""
        scopes = {StopScope.ALL: "*"}
        wanted = (StopScope.ALL, StopScope.MISSION_TYPE)
        return [scopes.get(StopScope(scope), name) for scope, name in self.ids if scope in wanted]


def load() -> Stops:
    """The stops in force now. One statement."""
    rows = Stop.objects.filter(lifted_at=None).values_list("scope", "name", "pk")
    return Stops({(scope, name): pk for scope, name, pk in rows})


def in_force() -> list[Stop]:
    """The stops in force, the latest first."""
    return list(Stop.objects.filter(lifted_at=None).order_by("-pressed_at", "-pk"))


def over(mission: Mission) -> Stop | None:
    """The stop in force that keeps a mission as a whole from going on."""
    found = load().of_type(mission.type)
    return Stop.objects.filter(pk=found).first() if found is not None else None


# -- The buttons -------------------------------------------------------------------------------------------------------


def press(scope: str, name: str = "", *, reason: str, by: str) -> Stop:
    """Stop everything, or what the scope and name say, until a person lifts it. Own transaction.

    Raises InvalidInput, AlreadyStopped.
    """
    _check(scope, name, reason)
    try:
        with transaction.atomic():
            stop = Stop.objects.create(scope=scope, name=name, reason=reason, pressed_by=by)
            feed.announce_rules()
            feed.announce("q")
    except IntegrityError as error:
        raise AlreadyStopped from error
    stop.refresh_from_db()
    logger.warning("A stop is in force", extra={"action": "stop_pressed", "stop": str(stop), "by": by})
    return stop


def lift(stop_id: int, *, reason: str = "", by: str) -> Stop:
    """Let what was stopped go on, in waves. Own transaction. Raises UnknownStop (also where it was lifted before)."""
    if fault := _text_fault(reason):
        raise InvalidInput("The stop can not be lifted.", errors=[{"field": "reason", "message": fault}])
    with transaction.atomic():
        stop = Stop.objects.select_for_update().filter(pk=stop_id, lifted_at=None).first()
        if stop is None:
            raise UnknownStop
        stop.lifted_at, stop.lifted_by, stop.lift_reason = database_now(), by, reason
        stop.save(update_fields=["lifted_at", "lifted_by", "lift_reason"])
        alarms.set_alarm(f"stop.lifted:{stop.pk}", stop.lifted_at)
        feed.announce_rules()
        feed.announce("q")
    logger.warning("A stop is lifted", extra={"action": "stop_lifted", "stop": str(stop), "by": by})
    return stop


def _check(scope: str, name: str, reason: str) -> None:
    errors = []
    if scope not in StopScope.values:
        errors.append({"field": "scope", "message": f"One of {', '.join(StopScope.values)}."})
    elif scope == StopScope.ALL and name:
        errors.append({"field": "name", "message": "Everything has no name; leave it out."})
    elif scope != StopScope.ALL and not (0 < len(name) <= NAME_LENGTH and name.isprintable()):
        errors.append({"field": "name", "message": f"A name of 1 to {NAME_LENGTH} printable characters."})
    if fault := "Say why." if not reason.strip() else _text_fault(reason):
        errors.append({"field": "reason", "message": fault})
    if errors:
        raise InvalidInput("Nothing was stopped.", errors=errors)


def _text_fault(text: str) -> str:
    if len(text) > REASON_LENGTH:
        return f"At most {REASON_LENGTH:,} characters."
    return "NUL bytes can not be kept." if "\x00" in text else ""


# -- Missions that stand at a stop -------------------------------------------------------------------------------------


def signal_of(stop_id: int) -> str:
    """The signal that tells a mission of the lifting."""
    return f"stop:{stop_id}"


@transaction.atomic
def hold(stop_id: int, mission_id: int) -> str | None:
    """A call of this mission stands at the stop: what is stopped, in words; None where it was lifted meanwhile."""
    stop = Stop.objects.select_for_update(no_key=True).filter(pk=stop_id, lifted_at=None).first()
    if stop is None:
        return None
    Held.objects.bulk_create([Held(stop=stop, mission_id=mission_id)], ignore_conflicts=True)
    return str(stop)


@alarms.handler("stop.lifted")
@transaction.atomic
def wake(subject: str, nominal_at: dt.datetime) -> None:
    """Tell the next of the missions that stood at a stop."""
    held = Held.objects.filter(stop_id=int(subject)).order_by("mission_id")
    chosen = list(held.select_for_update(skip_locked=True)[: settings.MISSIONS_WAKES_AT_ONCE])
    _tell(int(subject), (one.mission_id for one in chosen))
    Held.objects.filter(pk__in=[one.pk for one in chosen]).delete()
    if held.exists():
        alarms.set_alarm(f"stop.lifted:{subject}", database_now() + WAVE)


def _tell(stop_id: int, mission_ids: Iterable[int]) -> None:
    name = signal_of(stop_id)
    for mission_id in mission_ids:
        try:
            mailbox.deliver(mission_id, name, {}, key=name, sender="stops")
        except (MissionEnded, UnknownMission):
            logger.debug("A mission ended while it stood at a stop", extra={"mission": mission_id})
