"""What an event would do: a mapping tried on a payload. Reads only; nothing is started, sent or kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User

from approvals.inbound import deeds, mapping
from approvals.inbound.mapping import Content, Deed
from approvals.models.inbound import Verb
from missions.engine.registry import get_type
from missions.errors import InvalidInput, StandfastError, UnknownMission
from missions.web.access import may_direct, may_start
from missions.web.parsers import read_object
from missions.web.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would come of it. Without a deed it is ignored or refused; `errors` are of the input, by field."""

    ignored: bool = False
    deed: Deed | None = None
    mission: str = ""  # title and state of the mission that would be signalled
    problem: str = ""
    errors: tuple[dict[str, Any], ...] = ()


def preview(said: Content, payload: dict[str, Any], headers: dict[str, str], owner: User) -> Preview:
    """What this event would do, were it `owner`'s hook."""
    deed = None
    try:
        deed = mapping.deed(said, payload, headers)
        if deed is None:
            return Preview(ignored=True)
        return Preview(deed=deed, mission=_fits(deed, owner))
    except InvalidInput as error:
        return Preview(deed=deed, problem=str(error), errors=tuple(error.errors))
    except StandfastError as error:
        return Preview(deed=deed, problem=str(error))


def of_text(said: Content, text: str, owner: User) -> Preview:
    """The same for a payload as somebody typed it."""
    try:
        payload = read_object(text.encode())
    except Problem as error:
        return Preview(problem=error.text or error.title)
    return preview(said, payload, {}, owner)


def _fits(deed: Deed, owner: User) -> str:
    """The mission that is meant; empty for a start. Raises StandfastError where it would be refused."""
    if deed.verb == Verb.START:
        if not may_start(owner):
            raise deeds.NotAllowed
        get_type(deed.type).check_input(deed.body)
        return ""
    mission = deeds.meant(deed, owner)
    if not may_direct(owner, mission):
        raise deeds.NotAllowed
    if mission.ended:
        raise UnknownMission(f"Mission {mission.uid} has ended: it takes no signals.")
    return f"{mission.brief.title} ({mission.get_state_display()})"
