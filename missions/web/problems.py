"""Every error of the REST API as RFC 9457 problem details with a stable `code`.

Owns `Problem`, which views raise, and `handle`, which turns any exception into one. Promises: nothing under /api/
answers an error in another shape, and no internal text leaks. Must not decide anything: the verbs refuse, this tells.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import psycopg
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views import defaults
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer

from missions import errors

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
API_PREFIX = "/api/"
RETRY_AFTER_SECONDS = 5

STATUS_OF: dict[type[errors.StandfastError], int] = {
    errors.InvalidInput: 422,
    errors.UnknownType: 422,
    errors.UnknownTool: 422,
    errors.Unserialisable: 422,
    errors.UnknownMission: 404,
    errors.UnknownArtifact: 404,
    errors.UnknownSchedule: 404,
    errors.UnknownBudget: 404,
    errors.UnknownAgent: 404,
    errors.UnknownServer: 404,
    errors.ServerChanged: 409,
    errors.ScheduleExists: 409,
    errors.KeyReused: 409,
    errors.MissionArchived: 409,
    errors.NotArchived: 404,
    errors.Kept: 409,
    errors.Unrestorable: 409,
    errors.MissionEnded: 409,
    errors.ControlRefused: 409,
    errors.NotFrozen: 409,
    errors.PayloadTooLarge: 413,
}
TITLE_OF = {
    "agent_exists": "There is an agent of this name",
    "agent_inactive": "No version of the agent is in force",
    "being_sent": "This delivery is under way",
    "bad_cursor": "This cursor is not one of ours",
    "change_denied": "The policy governance denies this change",
    "draft_outdated": "Somebody has saved a newer draft",
    "invalid_policy": "The policy is not valid",
    "unknown_policy": "There is no such policy or version",
    "wrong_state": "The state of the policy or version does not allow this",
    "bad_parameter": "A parameter of the address is not usable",
    "control_refused": "The mission's state does not allow this",
    "csrf_failed": "The CSRF token is missing or wrong",
    "database_unavailable": "The database does not answer",
    "formula_failed": "A formula of the hook comes to nothing usable",
    "hook_off": "The hook is switched off",
    "internal_error": "Standfast failed",
    "invalid_input": "The input does not fit",
    "kept": "The mission may not leave yet",
    "isolation_absent": "The isolation that the version demands is absent here",
    "key_reused": "This key was used with another request",
    "mission_archived": "The mission is archived",
    "mission_ended": "The mission has ended",
    "not_archived": "The archive holds no such mission",
    "not_frozen": "The installation is not frozen",
    "not_authenticated": "Sign in or send a token",
    "payload_too_large": "The body is too large",
    "preview_outdated": "The mission went on since the preview was read",
    "reserved_name": "This name is reserved",
    "scope_missing": "The token's scopes do not cover this",
    "several_missions": "Several missions were started with this key",
    "throttled": "Too many calls",
    "too_many_open": "Too many decisions of yours are open",
    "unknown_agent": "There is no such agent or version",
    "unknown_artifact": "There is no such artifact",
    "schedule_exists": "There is a schedule of this name",
    "unknown_budget": "There is no such budget",
    "unknown_delivery": "There is no such delivery",
    "unknown_hook": "There is no such hook",
    "unknown_mission": "There is no such mission",
    "unknown_replay": "There is no such replay",
    "unknown_schedule": "There is no such schedule",
    "unknown_webhook": "There is no such webhook",
    "server_changed": "Somebody has changed the server meanwhile",
    "unknown_server": "There is no such server",
    "unknown_type": "No such mission type is registered",
    "unrestorable": "The bundle can not be restored",
    "wrong_agent_state": "What is in force does not allow this",
    "wrong_host": "This host is not served here",
    "wrong_origin": "This origin may not call here",
    "unsupported_media_type": "The body must be application/json",
}


class Problem(exceptions.APIException):
    """An error to answer a request with.

    `code` is stable and for machines, `title` is the same for each problem of that code, `detail` speaks of this one.
    `extra` becomes further members of the body, such as `errors` or the winning decision.
    """

    def __init__(self, status: int, code: str, title: str, detail: str = "", **extra: Any) -> None:
        super().__init__(detail or title, code)
        self.status_code = status
        self.code = code
        self.title = title
        self.text = detail
        self.extra = extra
        self.headers: dict[str, str] = {}

    def as_json(self) -> dict[str, Any]:
        """The body: the members of RFC 9457, `code`, beside the extras."""
        return {
            **self.extra, "type": f"urn:standfast:problem:{self.code}", "title": self.title,
            "status": self.status_code, "code": self.code, "detail": self.text,
        }


def problem(status: int, code: str, detail: str = "", **extra: Any) -> Problem:
    """A problem with the usual title of its code."""
    return Problem(status, code, TITLE_OF.get(code) or HTTPStatus(status).phrase, detail, **extra)


def field_problem(field: str, message: str, *, code: str = "invalid_input") -> Problem:
    """One field of the body does not fit: 422."""
    return problem(422, code, message, errors=[{"field": field, "message": message}])


def handle(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's EXCEPTION_HANDLER: answers `exc` as a problem, and logs what is our fault.

    A plain response: DRF's own would be rendered by the view's renderer, which may be one for YAML or HTML.
    """
    found = translate(exc)
    if found.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
        report(context)
    return respond(found)


def report(context: Mapping[str, Any]) -> None:
    """Log the exception that is being handled, and tell Django's own listeners as an unhandled one would."""
    request = context.get("request")
    facts = {"action": "api_failed", "path": getattr(request, "path", ""), "method": getattr(request, "method", "")}
    logger.exception("A request failed", extra=facts)
    got_request_exception.send(sender=None, request=request)


@functools.singledispatch
def translate(exc: Exception) -> Problem:
    """The problem that stands for an exception; what nobody expected is a 500 without its text."""
    return problem(500, "internal_error", "It was logged; nothing of this request was kept.")


@translate.register
def _(exc: Problem) -> Problem:
    return exc


@translate.register
def _(exc: errors.StandfastError) -> Problem:
    status = next((STATUS_OF[kind] for kind in type(exc).__mro__ if kind in STATUS_OF), 409)
    found = problem(status, exc.code, str(exc))
    found.extra.update(exc.facts)
    if isinstance(exc, errors.InvalidInput):
        found.extra["errors"] = exc.errors
    return found


@translate.register
def _(exc: exceptions.APIException) -> Problem:
    codes = exc.get_codes()
    found = problem(exc.status_code, _code(exc, codes if isinstance(codes, str) else "error"), str(exc.detail))
    if challenge := getattr(exc, "auth_header", None):
        found.headers["WWW-Authenticate"] = challenge
    if wait := getattr(exc, "wait", None):
        found.headers["Retry-After"] = str(int(wait))
    return found


def _code(exc: exceptions.APIException, code: str) -> str:
    """DRF's code, except where one of its codes stands for two things."""
    if isinstance(exc, exceptions.PermissionDenied) and str(exc.detail).startswith("CSRF"):
        return "csrf_failed"
    return {"parse_error": "bad_json", "authentication_failed": "bad_token"}.get(code, code)


@translate.register
def _(exc: exceptions.ValidationError) -> Problem:
    return problem(422, "invalid_input", "See the errors, field by field.", errors=list(flat(exc.detail)))


def flat(detail: Any, field: str = "") -> Iterable[dict[str, str]]:
    """DRF's nested errors as a list of {field, message}; `field` is a dotted path, empty for the whole body."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            own = "" if name == "non_field_errors" else str(name)
            yield from flat(inner, ".".join(part for part in (field, own) if part))
    elif isinstance(detail, list):
        for inner in detail:
            yield from flat(inner, field)
    else:
        yield {"field": field, "message": str(detail)}


@translate.register
def _(exc: Http404) -> Problem:
    return problem(404, "not_found", "There is nothing here, or you may not see it.")


@translate.register
def _(exc: PermissionDenied) -> Problem:
    return problem(403, "permission_denied", str(exc))


@translate.register
def _(exc: RequestDataTooBig) -> Problem:
    return problem(413, "payload_too_large", "A body may take 1 MiB; nothing was kept.")


@translate.register(SuspiciousOperation)
@translate.register(UnreadablePostError)
def _(exc: Exception) -> Problem:
    return problem(400, "bad_request", "The request could not be read.")


@translate.register(OperationalError)
@translate.register(InterfaceError)
@translate.register(psycopg.OperationalError)
def _(exc: Exception) -> Problem:
    logger.warning("The database does not answer", extra={"action": "api_database_unavailable", "error": str(exc)})
    found = problem(503, "database_unavailable", "Send the same request again, with the same key: it counts once.")
    found.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return found


# -- What fails before a view runs: Django's own handlers, named by the root URLs -----------------------------------


def respond(found: Problem) -> HttpResponse:
    """A problem as a plain Django response."""
    body = JSONRenderer().render(found.as_json())
    return HttpResponse(body, status=found.status_code, headers=found.headers, content_type=MEDIA_TYPE)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400."""
    if request.path.startswith(API_PREFIX):
        return respond(translate(exception))
    return defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler403."""
    if request.path.startswith(API_PREFIX):
        return respond(translate(exception))
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404."""
    if request.path.startswith(API_PREFIX):
        return respond(translate(exception))
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500; Django has logged the exception."""
    if request.path.startswith(API_PREFIX):
        return respond(problem(500, "internal_error", "It was logged; nothing of this request was kept."))
    return defaults.server_error(request)
