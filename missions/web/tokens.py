"""API tokens: issuing, revoking, and signing in with one.

Owns the secret's form and its scopes. Promises: the secret is shown once and kept as sha256; a request with a bad
token is refused, never treated as anonymous; reading with a token writes nothing. Expiry is on the database clock.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS, BasePermission

from missions.engine.clock import database_now
from missions.models import ApiToken
from missions.models.fields import DatabaseNow
from missions.web.problems import problem

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from rest_framework.request import Request
    from rest_framework.views import APIView

KEYWORD = "Token"
MARK = "sf_"  # people and secret scanners recognise it
PREFIX_LENGTH = 12
AGENT_FORM = "up to 100 printable characters, none of them a space at an end"
READ_SCOPES = {
    "missions": "missions:read", "decisions": "decisions:read", "opening": "decisions:read", "limits": "limits:read",
    "budgets": "budgets:read", "policies": "policies:read", "webhooks": "webhooks:read", "agents": "agents:read",
    "hooks": "hooks:read", "servers": "missions:read",
}  # fmt: skip
WRITE_SCOPES = {
    "missions": "missions:write", "decisions": "decisions:vote", "opening": "decisions:open", "limits": "limits:write",
    "budgets": "budgets:write", "policies": "policies:write", "webhooks": "webhooks:write", "agents": "agents:write",
    "hooks": "hooks:write", "servers": "servers:write",
}  # fmt: skip
SCOPES = tuple(dict.fromkeys((*READ_SCOPES.values(), *WRITE_SCOPES.values())))


def issue(
    user: User, *, scopes: tuple[str, ...] = (), days: int | None = None, label: str = "", agent: str = ""
) -> tuple[ApiToken, str]:
    """A new token and its secret, which can not be read again. No scopes: all that the user may do.

    `agent` names whom it stands for before policies: only administrators may say so, which the caller checks.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise ValueError(f"unknown scopes: {', '.join(unknown)}; known are {', '.join(SCOPES)}")
    secret = MARK + secrets.token_urlsafe(32)
    expires_at = database_now() + dt.timedelta(days=days) if days is not None else None
    token = ApiToken.objects.create(
        user=user, label=label, prefix=secret[:PREFIX_LENGTH], hash=digest(secret.encode()), scopes=sorted(set(scopes)),
        expires_at=expires_at, agent=agent,
    )
    return token, secret


def wrong_agent(agent: str) -> bool:
    """Whether this can not be an agent's name."""
    return not 0 < len(agent) <= 100 or not agent.isprintable() or agent != agent.strip()


def revoke(prefix: str) -> int:
    """Revoke the tokens that begin like this; how many were in force. Shorter than a full prefix matches nothing."""
    return ApiToken.objects.filter(prefix=prefix[:PREFIX_LENGTH], revoked_at=None).update(revoked_at=DatabaseNow())


def digest(secret: bytes) -> str:
    """What the database keeps of a secret. It is 256 random bits, so a plain hash can not be guessed backwards."""
    return hashlib.sha256(secret).hexdigest()


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Token SECRET`. Other schemes are left to the next authenticator."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """The token's user and the token. Raises AuthenticationFailed for a token that is not in force."""
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != KEYWORD.lower().encode():
            return None
        if len(words) != 2:
            raise AuthenticationFailed("Send `Authorization: Token SECRET`.")
        token = in_force(words[1])
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """What makes a refusal a 401 with WWW-Authenticate."""
        return f'{KEYWORD} realm="standfast"'


def in_force(secret: bytes) -> ApiToken:
    """The token of this secret, with its user. Raises AuthenticationFailed for one that is not in force."""
    token: Any = ApiToken.objects.select_related("user").annotate(now=DatabaseNow()).filter(hash=digest(secret)).first()
    if token is None:
        raise AuthenticationFailed("There is no such token.")
    if token.revoked_at is not None:
        raise AuthenticationFailed("The token was revoked.")
    if token.expires_at is not None and token.expires_at <= token.now:
        raise AuthenticationFailed("The token has expired.")
    if not token.user.is_active:
        raise AuthenticationFailed("The token's user is not active.")
    found: ApiToken = token
    return found


class InScope(BasePermission):
    """A token with scopes does only what they name; sessions and tokens without scopes are not limited here.

    A view names its `area`; a view without one is out of every scope.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the scopes cover this method on this area. Raises Problem with the scope that is missing."""
        token = request.auth
        if not isinstance(token, ApiToken) or not token.scopes:
            return True
        scopes = READ_SCOPES if request.method in SAFE_METHODS else WRITE_SCOPES
        needed = scopes.get(getattr(view, "area", ""), "")
        if needed not in token.scopes:
            raise problem(403, "scope_missing", f"The token lacks the scope {needed or 'for this area'}.", scope=needed)
        return True
