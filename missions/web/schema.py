"""What the OpenAPI schema says beside the views: the token scheme, problems, and repeated parameters."""

from __future__ import annotations

import functools
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers

from missions.web.problems import MEDIA_TYPE


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema names `missions.web.tokens.TokenAuthentication`."""

    target_class = "missions.web.tokens.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """OpenAPI knows no scheme `Token`, so it is told as a header."""
        return {
            "type": "apiKey", "in": "header", "name": "Authorization",
            "description": "`Token SECRET`, from `manage.py token create`.",
        }


class FieldError(serializers.Serializer[Any]):
    """What is wrong with one field of the body."""

    field = serializers.CharField(allow_blank=True)
    message = serializers.CharField()


class ProblemShape(serializers.Serializer[Any]):
    """RFC 9457 problem details with a stable `code`; some codes bring members of their own."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    errors = FieldError(many=True, required=False)  # type: ignore[assignment]  # a field, not the base's property


PROBLEMS: dict[Any, Any] = {("4XX", MEDIA_TYPE): ProblemShape, ("5XX", MEDIA_TYPE): ProblemShape}
CURSOR = OpenApiParameter("cursor", str, description="The `next` of the page before.")
LIMIT = OpenApiParameter("limit", int, description="Rows a page: 50, at most 100.")
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER,
    description="Instead of the body's `key`; the same key counts once.",
)


@functools.cache  # one name, one component
def listed(name: str, row: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """The shape of a list: `{results, next}`."""
    fields: dict[str, Any] = {
        "results": row(many=True),
        "next": serializers.CharField(allow_null=True, help_text="The cursor of the next page; null on the last."),
    }
    return inline_serializer(name=name, fields=fields)


def text_parameter(name: str, description: str, *, enum: list[str] | None = None) -> OpenApiParameter:
    """An optional query parameter that is text."""
    return OpenApiParameter(name, OpenApiTypes.STR, description=description, enum=enum)


def seq_parameter(name: str, description: str) -> OpenApiParameter:
    """An optional query parameter that is a position in a journal."""
    return OpenApiParameter(name, OpenApiTypes.INT, description=description)
