"""The REST views of what a mission did: journal, checkpoints, timelines, effects, verification; and what is known here.

Reads only.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from missions.engine import history
from missions.engine.registry import checkpoint_of
from missions.models import Effect, EffectState, Entry, Kind, Mission, Timeline
from missions.web import ledger
from missions.web.access import visible_mission, visible_missions
from missions.web.endpoint import Endpoint
from missions.web.pagination import limit_of, number_of, page, place_of
from missions.web.problems import problem
from missions.web.record_shapes import (
    CheckpointSerializer,
    EffectSerializer,
    EntrySerializer,
    TimelineSerializer,
    VerificationSerializer,
)
from missions.web.schema import CURSOR, LIMIT, PROBLEMS, listed, seq_parameter, text_parameter

AFTER = seq_parameter("after", "Only entries with a larger seq.")
TIMELINE = seq_parameter("timeline", "Only entries of this timeline.")
KIND = text_parameter("kind", "Only entries of this kind.", enum=list(Kind.values))
EFFECT_STATE = text_parameter("state", "Only effects in this state.", enum=list(EffectState.values))


class JournalView(Endpoint):
    """A mission's history."""

    parameters = frozenset({"after", "timeline", "kind", "cursor", "limit"})

    @extend_schema(
        operation_id="missions_journal",
        parameters=[AFTER, TIMELINE, KIND, CURSOR, LIMIT],
        responses={200: listed("Journal", EntrySerializer), **PROBLEMS},
    )
    def get(self, request: Request, uid: uuid.UUID) -> Response:
        """List entries in the order of seq."""
        mission, params = visible_mission(request.user, uid), request.query_params
        rows = entries_of(mission, params)
        if kind := params.get("kind"):
            if kind not in Kind.values:
                raise problem(400, "bad_parameter", f"kind is one of {', '.join(Kind.values)}.", parameter="kind")
            rows = rows.filter(kind=kind)
        return Response(entry_page(rows, params, EntrySerializer))


class CheckpointsView(Endpoint):
    """The entries that replay restores from."""

    parameters = frozenset({"after", "timeline", "cursor", "limit"})

    @extend_schema(
        operation_id="missions_checkpoints", parameters=[AFTER, TIMELINE, CURSOR, LIMIT],
        responses={200: listed("CheckpointList", CheckpointSerializer), **PROBLEMS},
    )
    def get(self, request: Request, uid: uuid.UUID) -> Response:
        """List checkpoints in the order of seq: the kinds of entries that the type's strategy names."""
        mission, params = visible_mission(request.user, uid), request.query_params
        rows = entries_of(mission, params).filter(kind__in=checkpoint_of(mission.type).kinds)
        return Response(entry_page(rows, params, CheckpointSerializer))


def entries_of(mission: Mission, params: Mapping[str, str]) -> QuerySet[Entry]:
    """The mission's entries from `after` or `cursor` on, of one `timeline` where it is named. Raises Problem (400)."""
    after = number_of(params, "after", 0)
    if cursor := params.get("cursor"):
        after = max(after, place_of(cursor, 1)[0])
    rows = Entry.objects.filter(mission_id=mission.pk, seq__gt=after).order_by("seq")
    timeline = number_of(params, "timeline", 0)
    return rows.filter(timeline=timeline) if timeline else rows


def entry_page(
    rows: QuerySet[Entry], params: Mapping[str, str], shape: type[serializers.Serializer[Any]]
) -> dict[str, Any]:
    """A page of entries, decoded."""
    return page(
        rows, limit_of(params), lambda row: (row.seq,), lambda found: list(shape(history.decode(found), many=True).data)
    )


class TimelinesView(Endpoint):
    """The branches of a mission's journal."""

    @extend_schema(
        operation_id="missions_timelines", responses={200: listed("TimelineList", TimelineSerializer), **PROBLEMS}
    )
    def get(self, request: Request, uid: uuid.UUID) -> Response:
        """List timelines; all at once."""
        mission = visible_mission(request.user, uid)
        rows = Entry.objects.filter(mission_id=mission.pk).values("timeline").order_by("timeline")
        spans = rows.annotate(from_seq=Min("seq"), to_seq=Max("seq"), entries=Count("seq"))
        opened = {row.number: row for row in Timeline.objects.filter(mission_id=mission.pk)}
        told = [
            {**span, "current": span["timeline"] == mission.timeline, "opened": opened.get(span["timeline"])}
            for span in spans
        ]
        return Response({"results": TimelineSerializer(told, many=True).data, "next": None})


class VerifyView(Endpoint):
    """The mission's hash chain."""

    @extend_schema(operation_id="missions_verify", responses={200: VerificationSerializer, **PROBLEMS})
    def get(self, request: Request, uid: uuid.UUID) -> Response:
        """Recompute the chain and name the first broken link."""
        return Response(VerificationSerializer(history.verify(visible_mission(request.user, uid))).data)


class MissionEffectsView(Endpoint):
    """The effects of one mission."""

    parameters = frozenset({"state", "cursor", "limit"})

    @extend_schema(
        operation_id="missions_effects",
        parameters=[EFFECT_STATE, CURSOR, LIMIT],
        responses={200: listed("MissionEffectList", EffectSerializer), **PROBLEMS},
    )
    def get(self, request: Request, uid: uuid.UUID) -> Response:
        """List effects, newest first."""
        mission = visible_mission(request.user, uid)
        return Response(effect_page(Effect.objects.filter(mission_id=mission.pk), request.query_params))


class EffectsView(Endpoint):
    """The effects of all missions that the caller may see."""

    parameters = frozenset({"state", "cursor", "limit"})

    @extend_schema(
        operation_id="effects_list",
        parameters=[EFFECT_STATE, CURSOR, LIMIT],
        responses={200: listed("EffectList", EffectSerializer), **PROBLEMS},
    )
    def get(self, request: Request) -> Response:
        """List effects, newest mission first."""
        seen = visible_missions(request.user).values("pk")
        return Response(effect_page(Effect.objects.filter(mission_id__in=seen), request.query_params))


def effect_page(rows: QuerySet[Effect], params: Mapping[str, str]) -> dict[str, Any]:
    """A page of effects by mission and seq, both falling. Raises Problem (400)."""
    if state := params.get("state"):
        if state not in EffectState.values:
            raise problem(400, "bad_parameter", f"state is one of {', '.join(EffectState.values)}.", parameter="state")
        rows = rows.filter(state=state)
    if cursor := params.get("cursor"):
        mission_id, seq = place_of(cursor, 2)
        rows = rows.filter(Q(mission_id__lt=mission_id) | Q(mission_id=mission_id, seq__lt=seq))
    return page(
        rows.order_by("-mission_id", "-seq"), limit_of(params), lambda row: (row.mission_id, row.seq),
        lambda found: list(EffectSerializer(ledger.told(found), many=True).data),
    )
