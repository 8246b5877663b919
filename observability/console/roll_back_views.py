"""The page that rolls a mission back: where to, what is kept and undone, and the form that asks for it."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from missions.control import preview
from missions.engine.controls import VERBS
from missions.errors import ControlRefused
from missions.models import Mission
from observability.console import undoing
from observability.console.control_views import CONFLICT, UNPROCESSABLE, asked, for_operators, of_mission
from observability.console.requests import SignedInRequest
from observability.console.steer_forms import LARGEST, RollBackForm


@of_mission
@for_operators
def roll_back(request: SignedInRequest, mission: Mission) -> HttpResponse:
    """A GET without `to` offers the checkpoints, one with it the preview; a POST asks for the rollback."""
    if mission.state not in VERBS["rollback"]:
        refused = f"The mission is {mission.get_state_display().lower()}: it can not be rolled back here."
        return _choose(request, mission, refused, CONFLICT if request.method == "POST" else 200)
    sent = request.POST if request.method == "POST" else None
    to = (sent or request.GET).get("to", "")
    if not to:
        return _choose(request, mission)
    if not (to.isascii() and to.isdigit() and 0 < int(to) <= LARGEST):
        return _choose(request, mission, f"“{to[:40]}” is no entry.", UNPROCESSABLE)
    try:
        seen = preview.preview(mission, int(to))
    except ControlRefused as error:
        return _choose(request, mission, str(error), CONFLICT)
    return _sent(request, mission, seen) if sent is not None else _show(request, mission, seen)


def _sent(request: SignedInRequest, mission: Mission, seen: preview.Preview) -> HttpResponse:
    form = RollBackForm(request.POST)
    if not form.is_valid():
        return _show(request, mission, seen, form, UNPROCESSABLE)
    facts = form.cleaned_data
    if facts["preview_digest"] != seen.digest:
        return _show(request, mission, seen, form, CONFLICT, stale=True)
    try:
        return asked(request, mission, "rollback", nonce=f"{facts['to']}:{seen.digest[:16]}", **facts)
    except ControlRefused as error:
        return _choose(request, mission, str(error), CONFLICT)


def _show(
    request: SignedInRequest, mission: Mission, seen: preview.Preview, form: RollBackForm | None = None,
    status: int = 200, *, stale: bool = False,
) -> HttpResponse:
    """The preview. Its digest is always that of what is shown, whatever was sent."""
    context: dict[str, Any] = {
        "mission": mission, "seen": seen, "form": form or RollBackForm(initial={"to": seen.asked_seq}),
        "picture": undoing.picture_of(mission, seen), "stale": stale,
    }  # fmt: skip
    return render(request, "missions/roll_back.html", context, status=status)


def _choose(request: SignedInRequest, mission: Mission, refused: str = "", status: int = 200) -> HttpResponse:
    context = {"mission": mission, "refused": refused, "points": undoing.points_of(mission)}
    return render(request, "missions/roll_back_choose.html", context, status=status)
