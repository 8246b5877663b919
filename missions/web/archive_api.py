"""The REST views of the archive: which missions left, and one of them read from its bundle. Reads only.

Who saw a mission sees its bundle; what may not be seen is a 404.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from missions.engine.history import HistoryEntry, Verification
from missions.errors import NotArchived
from missions.keeping import bundle, reading, verifying
from missions.models import Archived, State
from missions.web.access import visible_archive
from missions.web.endpoint import Endpoint
from missions.web.pagination import limit_of, page, place_of
from missions.web.record_shapes import EntrySerializer, VerificationSerializer
from missions.web.schema import CURSOR, LIMIT, PROBLEMS, listed, text_parameter

SHOWN = 500  # entries; the bundle has all


class ArchivedSerializer(serializers.Serializer[Any]):
    """A mission in the archive."""

    id = serializers.UUIDField(source="uid")
    type = serializers.CharField()
    title = serializers.CharField()
    state = serializers.ChoiceField(State.choices)
    verdict = serializers.CharField(help_text="Empty unless it completed.")
    started_by = serializers.CharField(help_text="Empty where a command or another mission started it.")
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField()
    entries = serializers.IntegerField()
    chain_head = serializers.SerializerMethodField(help_text="The last link of its journal, in hex.")
    bytes = serializers.IntegerField(help_text="Of the bundle.")
    digest = serializers.SerializerMethodField(help_text="sha256 of the bundle, in hex.")
    location = serializers.CharField(help_text="database, folder")
    number = serializers.IntegerField(help_text="Its place in the chain of seals.")
    seal = serializers.SerializerMethodField()
    sealed_at = serializers.DateTimeField()

    def get_chain_head(self, row: Archived) -> str:
        """In hex."""
        return bytes(row.chain_head).hex()

    def get_digest(self, row: Archived) -> str:
        """In hex."""
        return bytes(row.digest).hex()

    def get_seal(self, row: Archived) -> str:
        """In hex."""
        return bytes(row.seal).hex()


class ArchivedDetailSerializer(ArchivedSerializer):
    """One archived mission, verified while it is read."""

    verified = serializers.SerializerMethodField()
    parts = serializers.SerializerMethodField(help_text="Rows of each part of the bundle.")
    journal = serializers.SerializerMethodField(help_text=f"Its first {SHOWN} entries.")

    @extend_schema_field(VerificationSerializer)
    def get_verified(self, row: Archived) -> dict[str, Any]:
        """What reading the whole bundle found."""
        found: Verification = verifying.verify(row)
        return dict(VerificationSerializer(found).data)

    @extend_schema_field(serializers.DictField(child=serializers.IntegerField()))
    def get_parts(self, row: Archived) -> dict[str, int]:
        """By name."""
        return {name: told["rows"] for name, told in row.manifest["parts"].items()}

    @extend_schema_field(EntrySerializer(many=True))
    def get_journal(self, row: Archived) -> list[Any]:
        """Empty where the bundle can not be read."""
        return list(EntrySerializer(journal_of(row), many=True).data)


def journal_of(row: Archived) -> list[HistoryEntry]:
    """The first entries; none where the bundle is damaged, which `verified` tells of."""
    try:
        return reading.journal(row, SHOWN)
    except bundle.Damaged:
        return []


class ArchiveView(Endpoint):
    """The archived missions that the caller may see."""

    parameters = frozenset({"type", "q", "cursor", "limit"})

    @extend_schema(
        operation_id="archive_list",
        parameters=[
            text_parameter("type", "Only missions of this type."),
            text_parameter("q", "Part of the title."),
            CURSOR, LIMIT,
        ],
        responses={200: listed("Archive", ArchivedSerializer), **PROBLEMS},
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """List archived missions, last sealed first."""
        params = request.query_params
        rows = matching(visible_archive(request.user), params.get("type", ""), params.get("q", ""))
        if cursor := params.get("cursor"):
            rows = rows.filter(number__lt=place_of(cursor, 1)[0])
        return Response(
            page(rows.order_by("-number"), limit_of(params), lambda row: (row.number,),
                 lambda found: list(ArchivedSerializer(found, many=True).data))
        )  # fmt: skip


def matching(rows: QuerySet[Archived], type: str, words: str) -> QuerySet[Archived]:
    """Those of a type and with these words in the title, where they are given."""
    rows = rows.filter(type=type) if type else rows
    return rows.filter(title__icontains=words) if words else rows


class ArchivedView(Endpoint):
    """One archived mission."""

    @extend_schema(operation_id="archive_get", responses={200: ArchivedDetailSerializer, **PROBLEMS})
    def get(self, request: Request, archived_id: uuid.UUID) -> Response:
        """Show an archived mission, read from its bundle and verified."""
        row = visible_archive(request.user).filter(uid=archived_id).first()
        if row is None:
            raise NotArchived(f"The archive holds no mission {archived_id}, or you may not see it.")
        return Response(ArchivedDetailSerializer(row).data)
