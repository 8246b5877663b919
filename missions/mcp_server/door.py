"""Who may talk to `/mcp`: checks host, origin, token, rate and size of every HTTP request, then hands it on.

Promises: a token counts as over REST (`missions.web.tokens`), and nobody without one learns which tools there are;
what is refused here is answered as a problem. Must not know any tool.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
from typing import Any
from urllib.parse import urlsplit

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http.request import split_domain_port, validate_host
from rest_framework.exceptions import AuthenticationFailed

from missions.mcp_server.rates import Rates
from missions.mcp_server.rest import Application, Caller, Receive, Send, calling
from missions.models import ApiToken
from missions.web import tokens
from missions.web.parsers import LIMIT_BYTES
from missions.web.problems import Problem, problem, respond, translate

PATH = "/mcp"
BODY_BYTES = LIMIT_BYTES + 64 * 1024  # what REST takes, and the envelope around it
SCHEMES = (b"token", b"bearer")


class Door:
    """The ASGI application: `/mcp` for those who may, everything else for Django."""

    def __init__(self, django: Application) -> None:
        self._django = django
        self._rates = Rates(settings.MCP_CALLS_PER_MINUTE)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["path"].rstrip("/") != PATH:
            await self._django(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        try:
            host, origin = _place(headers)
            secret = _secret(headers)
            self._rates.count((await _in_force(secret)).pk)
            _usable(scope["method"], headers)
        except (Problem, OperationalError, InterfaceError) as refused:
            await _refuse(translate(refused), send)
            return
        with calling(Caller(application=self._django, secret=secret, scope=scope)):
            serving = await asyncio.to_thread(_serving)  # the first time takes seconds, which others need not wait
            await serving.serve(scope, receive, send, host=host, origin=origin, limit=BODY_BYTES)


@functools.cache
def _serving() -> Any:
    loaded = importlib.import_module("missions.mcp_server.serving")
    loaded.server()
    return loaded


def _place(headers: dict[bytes, str]) -> tuple[str, str]:
    """Host and origin, as Django would take them: a page elsewhere that has its name point here is neither.

    Raises Problem (421, 403).
    """
    host, origin = headers.get(b"host", ""), headers.get(b"origin", "")
    if not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        raise problem(421, "wrong_host", "This host name is not served here.")
    if origin and urlsplit(origin).netloc != host and origin not in settings.CSRF_TRUSTED_ORIGINS:
        raise problem(403, "wrong_origin", "Pages of this origin may not call here.")
    return host, origin


def _secret(headers: dict[bytes, str]) -> bytes:
    """The token that was sent. Raises Problem (401)."""
    words = headers.get(b"authorization", "").encode("latin-1").split()
    if len(words) == 2 and words[0].lower() in SCHEMES:
        return words[1]
    raise _challenge(problem(401, "not_authenticated", "Send `Authorization: Bearer TOKEN`, or `Token TOKEN`."))


@database_sync_to_async  # type: ignore[untyped-decorator]
def _found(secret: bytes) -> ApiToken:
    return tokens.in_force(secret)


async def _in_force(secret: bytes) -> ApiToken:
    """The token. Raises Problem (401)."""
    try:
        found: ApiToken = await _found(secret)
    except AuthenticationFailed as refused:
        raise _challenge(translate(refused)) from refused
    return found


def _challenge(refused: Problem) -> Problem:
    refused.status_code = 401
    refused.headers["WWW-Authenticate"] = 'Bearer realm="standfast"'
    return refused


def _usable(method: str, headers: dict[bytes, str]) -> None:
    """No stream to listen on and no session to end. Raises Problem (405, 413)."""
    if method != "POST":
        refused = problem(405, "method_not_allowed", "Only POST: there are no sessions and no streams here.")
        refused.headers["Allow"] = "POST"
        raise refused
    declared = headers.get(b"content-length", "")
    if declared.isdigit() and int(declared) > BODY_BYTES:
        raise problem(413, "payload_too_large", f"A message may take {BODY_BYTES:,} bytes; nothing was kept.")


async def _refuse(refused: Problem, send: Send) -> None:
    answer = respond(refused)
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.items()]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.content})
