"""What every view of the REST API shares: who may come in, and which parameters it knows.

Views of all layers build on `Endpoint`. Must not hold a resource's own rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from django.http import HttpRequest
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from missions.web.parsers import LIMIT_BYTES, text_fault
from missions.web.problems import problem
from missions.web.tokens import InScope

if TYPE_CHECKING:
    from django.contrib.auth.models import User

KEY_LENGTH = 200


class Endpoint(APIView):
    """A view with an `area` for scopes and the names of the query parameters that its GET takes."""

    permission_classes = [IsAuthenticated, InScope]
    area: ClassVar[str] = "missions"
    parameters: ClassVar[frozenset[str]] = frozenset()

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """DRF takes a body of undeclared length (a chunked one) for none at all: it would be lost without a word."""
        if "CONTENT_LENGTH" not in request.META and request.META.get("HTTP_TRANSFER_ENCODING"):
            request.META["CONTENT_LENGTH"] = str(LIMIT_BYTES)
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the caller first, then the parameters. Raises Problem (400)."""
        super().initial(request, *args, **kwargs)
        for name, value in request.query_params.items():
            if name not in self.parameters:
                known = ", ".join(sorted(self.parameters)) or "none"
                raise problem(400, "bad_parameter", f"{name[:100]!r} is no parameter here; known: {known}.")
            if "\x00" in value:
                raise problem(400, "bad_parameter", f"{name} contains a NUL character.", parameter=name)


def caller(request: Request) -> User:
    """Who asks, in a view that lets only the signed-in through."""
    return cast("User", request.user)


def idempotency_key(request: Request, in_body: str | None) -> str | None:
    """The key of a write: the body's `key` or the header `Idempotency-Key`; None for neither. Raises Problem (422)."""
    in_header = request.headers.get("Idempotency-Key")
    if in_header is not None and in_body is not None and in_header != in_body:
        errors = [{"field": "key", "message": "It differs from the header Idempotency-Key."}]
        raise problem(422, "invalid_input", "Send one key, not two.", errors=errors)
    key = in_body if in_body is not None else in_header
    if key is not None and (not 0 < len(key) <= KEY_LENGTH or text_fault(key)):
        errors = [{"field": "key", "message": f"Between 1 and {KEY_LENGTH} characters, none of them NUL."}]
        raise problem(422, "invalid_input", "The key can not be taken.", errors=errors)
    return key


class Nowhere(Endpoint):
    """Every address below /api/ that leads nowhere: 404 as a problem, whoever asks and whatever the method."""

    permission_classes = []
    authentication_classes = []
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises Problem (404)."""
        hint = " Addresses here end without a slash." if request.path.endswith("/") else ""
        raise problem(404, "not_found", f"There is no such address.{hint}")
