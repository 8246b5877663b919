"""The REST views that steer missions: pause, resume, cancel, stop, retry, roll back, fork, replay, and many at once.

A control is asked for and taken a moment later: 202 says that it lies in the mailbox, durable.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from missions.control import bulk, forks, preview, rehearsing
from missions.engine import controls
from missions.models import Mission
from missions.web.access import may_control, may_steer, unseen_among, visible_mission, visible_missions
from missions.web.api import filtered
from missions.web.control_shapes import (
    BulkBody,
    BulkResult,
    CancelBody,
    ControlBody,
    ControlReceipt,
    ForkBody,
    PreviewShape,
    ReplayShape,
    RollbackBody,
)
from missions.web.endpoint import Endpoint, caller, idempotency_key
from missions.web.problems import problem
from missions.web.schema import IDEMPOTENCY_KEY, PROBLEMS, seq_parameter
from missions.web.serializers import MissionDetailSerializer, detail_for

OPERATORS_ONLY = "Only operators do this."


def steered(request: Request, uid: uuid.UUID) -> Mission:
    """A mission that the caller may roll back, retry and fork. Raises UnknownMission, Problem (403)."""
    mission = visible_mission(request.user, uid)
    if not may_steer(request.user):
        raise problem(403, "permission_denied", OPERATORS_ONLY)
    return mission


def receipt(mission: Mission, verb: str, seq: int) -> Response:
    """202: the control lies in the mailbox."""
    return Response(ControlReceipt({"mission": mission.uid, "verb": verb, "seq": seq}).data, status=202)


def _control_view(verb: str, sentence: str, shape: type[ControlBody] = ControlBody) -> Callable[..., Any]:
    """The view of a control without arguments of its own."""

    class View(Endpoint):
        @extend_schema(
            operation_id=f"missions_{verb}", parameters=[IDEMPOTENCY_KEY], request=shape, description=sentence,
            responses={202: ControlReceipt, **PROBLEMS},
        )
        def post(self, request: Request, uid: uuid.UUID) -> Response:
            mission = visible_mission(request.user, uid)
            if not may_control(request.user, mission, verb):
                raise problem(403, "permission_denied", OPERATORS_ONLY)
            body = shape(data=request.data)
            body.is_valid(raise_exception=True)
            facts = dict(body.validated_data)
            key = idempotency_key(request, facts.pop("key"))
            who = caller(request).get_username()
            return receipt(mission, verb, controls.request(
                mission.pk, verb, by=who, key=key_of(verb, key), exact=True, **facts
            ))

    View.__name__ = View.__qualname__ = f"{verb.capitalize()}View"
    view: Callable[..., Any] = View.as_view()
    return view


def key_of(verb: str, key: str | None) -> str | None:
    """Keys of controls and of signals never meet."""
    return f"control:{verb}:{key}" if key is not None else None


pause = _control_view("pause", "Pause a mission once what runs has come to its record; 409 where it does not move.")
stop = _control_view("stop", "Pause a mission at once: a running step is cut off and will run again.")
resume = _control_view("resume", "Let a paused mission go on; 409 where it is not paused.")
retry = _control_view("retry", "Let a failed mission go on from its last checkpoint; what was done stands.")
cancel = _control_view("cancel", "End a mission; with `compensate` its effects are undone first.", CancelBody)


class RollbackView(Endpoint):
    """Going back to an earlier entry."""

    parameters = frozenset({"to"})

    @extend_schema(
        operation_id="missions_rollback_preview",
        parameters=[seq_parameter("to", "The last entry to keep; snapped back to where nothing was under way.")],
        responses={200: PreviewShape, **PROBLEMS},
    )
    def get(self, request: Request, uid: uuid.UUID) -> Response:
        """What a rollback would keep and undo, with the digest that its POST names."""
        mission, to = visible_mission(request.user, uid), request.query_params.get("to", "")
        if not (to.isascii() and to.isdigit() and 0 < int(to) < 2**31):
            raise problem(400, "bad_parameter", "to is the seq of an entry.", parameter="to")
        seen = preview.preview(mission, int(to))
        hidden = unseen_among(request.user, [uuid.UUID(child.uid) for child in seen.children])
        return Response(PreviewShape(preview.veiled(seen, hidden)).data)

    @extend_schema(
        operation_id="missions_rollback", parameters=[IDEMPOTENCY_KEY], request=RollbackBody,
        responses={202: ControlReceipt, **PROBLEMS},
    )
    def post(self, request: Request, uid: uuid.UUID) -> Response:
        """Roll back; 409 where the mission went on since the preview was read."""
        mission = steered(request, uid)
        body = RollbackBody(data=request.data)
        body.is_valid(raise_exception=True)
        facts = dict(body.validated_data)
        key = idempotency_key(request, facts.pop("key"))
        seen = preview.preview(mission, facts["to"])
        if seen.digest != facts["preview_digest"]:
            raise problem(409, "preview_outdated", "The mission went on; read the preview again.", digest=seen.digest)
        who = caller(request).get_username()
        asked = controls.request(
            mission.pk, "rollback", by=who, key=key_of("rollback", key), exact=True, **facts
        )
        return receipt(mission, "rollback", asked)


class ForkView(Endpoint):
    """A new mission from an earlier point."""

    @extend_schema(operation_id="missions_fork", request=ForkBody, responses={201: MissionDetailSerializer, **PROBLEMS})
    def post(self, request: Request, uid: uuid.UUID) -> Response:
        """Fork a mission; with effects off, as by default, it may read and never change the world."""
        mission = steered(request, uid)
        body = ForkBody(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        made = forks.fork(
            mission, wanted["at"], title=wanted["title"], effects=wanted["effects"] == "on", by=caller(request)
        )
        return Response(detail_for(request.user, visible_mission(request.user, made.uid)), status=201)


class ReplayView(Endpoint):
    """Replaying a stored journal."""

    @extend_schema(operation_id="missions_replay", request=None, responses={200: ReplayShape, **PROBLEMS})
    def post(self, request: Request, uid: uuid.UUID) -> Response:
        """Replay the journal against this server's code, guarded, without effects and within a time."""
        return Response(ReplayShape(rehearsing.replay_apart(steered(request, uid))).data)


class BulkView(Endpoint):
    """One control for many missions."""

    @extend_schema(
        operation_id="missions_bulk", parameters=[IDEMPOTENCY_KEY], request=BulkBody,
        responses={200: BulkResult, **PROBLEMS},
    )
    def post(self, request: Request) -> Response:
        """Steer all missions that fit the filter; each tells whether it was taken."""
        if not may_steer(request.user):
            raise problem(403, "permission_denied", OPERATORS_ONLY)
        body = BulkBody(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        chosen = filtered(visible_missions(request.user), wanted["filter"]).order_by("pk")
        key = idempotency_key(request, wanted["key"])
        told = bulk.steer_all(
            chosen, wanted["verb"], reason=wanted["reason"], by=caller(request).get_username(),
            key=key_of(wanted["verb"], key), compensate=wanted["compensate"],
        )
        results = [{"mission": one.mission.uid, "taken": not one.why, "why": one.why} for one in told]
        taken = sum(1 for one in told if not one.why)
        return Response(BulkResult({"taken": taken, "refused": len(told) - taken, "results": results}).data)
