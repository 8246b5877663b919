"""The REST views of a mission's artifacts: the list, and the content of one.

Content comes from missions and from whoever fed them: it is only ever a download, never a page of ours.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from missions.engine.threads import closing
from missions.errors import UnknownArtifact
from missions.models import Artifact
from missions.storage import blobs
from missions.web.access import visible_mission
from missions.web.endpoint import Endpoint
from missions.web.pagination import limit_of, page, place_of
from missions.web.schema import CURSOR, LIMIT, PROBLEMS, listed

ACTIVE = re.compile(r"html|xml|svg|script", re.I)  # what a browser might run
DIGEST = re.compile(r"[0-9a-f]{64}")
UNKNOWN_TYPE = "application/octet-stream"


class ArtifactSerializer(serializers.Serializer[Any]):
    """An artifact that a mission kept."""

    seq = serializers.IntegerField()
    timeline = serializers.IntegerField()
    name = serializers.CharField()
    digest = serializers.SerializerMethodField(help_text="sha256 of the content, in hex.")
    size = serializers.IntegerField(help_text="Bytes.")
    media_type = serializers.CharField()
    kept_at = serializers.DateTimeField()

    def get_digest(self, artifact: Artifact) -> str:
        """What its address ends with."""
        return bytes(artifact.digest).hex()


class ArtifactsView(Endpoint):
    """What a mission kept."""

    parameters = frozenset({"cursor", "limit"})

    @extend_schema(
        operation_id="missions_artifacts", parameters=[CURSOR, LIMIT],
        responses={200: listed("ArtifactList", ArtifactSerializer), **PROBLEMS},
    )
    def get(self, request: Request, uid: uuid.UUID) -> Response:
        """List artifacts in the order in which they were kept."""
        mission, params = visible_mission(request.user, uid), request.query_params
        rows = Artifact.objects.filter(mission_id=mission.pk).order_by("seq")
        if cursor := params.get("cursor"):
            rows = rows.filter(seq__gt=place_of(cursor, 1)[0])
        shown = page(rows, limit_of(params), lambda row: (row.seq,), lambda found: list(told(found)))
        return Response(shown)


def told(artifacts: list[Artifact]) -> list[Any]:
    """Artifacts in the shape of the list."""
    return list(ArtifactSerializer(artifacts, many=True).data)


class ArtifactView(Endpoint):
    """The content of one artifact."""

    @extend_schema(
        operation_id="missions_artifact",
        responses={
            (200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY, "The content, as a download."),
            **PROBLEMS,
        },
    )
    def get(self, request: Request, uid: uuid.UUID, digest: str) -> HttpResponseBase:
        """Download an artifact."""
        mission = visible_mission(request.user, uid)
        named = bytes.fromhex(digest) if DIGEST.fullmatch(digest) else b""
        artifact = Artifact.objects.filter(mission_id=mission.pk, digest=named).order_by("seq").last()
        if artifact is None:
            raise UnknownArtifact
        return download(artifact, streams=hasattr(request._request, "scope"))


def download(artifact: Artifact, *, streams: bool) -> StreamingHttpResponse:
    """The content as an attachment, a MiB at a time; `streams`: the server is asynchronous. Raises UnknownArtifact."""
    digest = bytes(artifact.digest)
    size = blobs.size_of(digest)
    kind = UNKNOWN_TYPE if ACTIVE.search(artifact.media_type) else artifact.media_type
    content = _portions(digest, size) if streams else blobs.portions(digest)
    return StreamingHttpResponse(content, headers={
        "Content-Type": kind,
        "Content-Length": str(size),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(artifact.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "ETag": f'"{digest.hex()}"',
    })


async def _portions(digest: bytes, size: int) -> AsyncIterator[bytes]:
    for number in range(-(-size // blobs.PORTION_BYTES)):
        yield await sync_to_async(closing)(blobs.portion, digest, number)  # no connection is held for a slow reader
