"""`manage.py token`: a secret that is printed once, a list without secrets, revocation."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from missions.engine.clock import database_now
from missions.models import ApiToken
from missions.web import tokens
from tests.web.rest import V1, client_of

pytestmark = pytest.mark.django_db


def run(*words: str) -> tuple[str, str]:
    """What the command prints on standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    call_command("token", *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_create_prints_the_secret_alone_and_it_signs_in(olivia: User) -> None:
    out, err = run("create", "olivia", "--scope", "missions:read", "--scope", "decisions:read", "--days", "3")
    secret = out.strip()
    assert "\n" not in secret and secret not in err
    assert client_of(token=secret).get(f"{V1}/missions").status_code == 200
    kept = ApiToken.objects.get()
    assert kept.scopes == ["decisions:read", "missions:read"]
    assert kept.expires_at is not None
    assert abs(kept.expires_at - database_now() - dt.timedelta(days=3)) < dt.timedelta(minutes=1)


def test_without_days_a_token_does_not_expire_and_without_scopes_it_may_all(olivia: User) -> None:
    run("create", "olivia")
    kept = ApiToken.objects.get()
    assert (kept.expires_at, kept.scopes) == (None, [])


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["create", "nobody"], 1), (["create", "olivia", "--days", "0"], 2),
        (["create", "olivia", "--days", "99999999"], 2), (["create", "olivia", "--label", "x" * 101], 2),
        (["revoke", "sf_nonsense"], 1), (["create", "olivia", "--agent", "x" * 101], 2),
        (["create", "olivia", "--agent", " shop"], 2),
    ],
)  # fmt: skip
def test_what_can_not_be_done_is_told_and_nothing_is_issued(olivia: User, words: list[str], status: int) -> None:
    with pytest.raises(CommandError) as error:
        run(*words)
    assert error.value.returncode == status
    assert not ApiToken.objects.exists()


def test_an_unknown_scope_is_wrong_usage(olivia: User) -> None:
    with pytest.raises(CommandError, match="invalid choice"):
        run("create", "olivia", "--scope", "everything")


def test_a_token_may_stand_for_an_agent(olivia: User) -> None:
    run("create", "olivia", "--agent", "shop-agent")
    assert ApiToken.objects.get().agent == "shop-agent"
    assert "shop-agent" in run("list")[0]


def test_list_tells_whose_and_whether_in_force_but_no_secret(olivia: User, audrey: User, clock: Any) -> None:
    secrets = [tokens.issue(olivia, label="robot", scopes=("missions:read",)), tokens.issue(audrey, days=1)]
    tokens.revoke(secrets[0][0].prefix)
    clock.advance(days=2)
    tokens.issue(olivia, label="fresh")
    out, _ = run("list")
    fresh, expired, revoked = out.splitlines()[1:]
    assert "in force" in fresh and "expired" in expired and "revoked" in revoked
    assert "missions:read" in revoked and "robot" in revoked and "audrey" in expired
    assert all(secret not in out for _, secret in secrets)
    assert "audrey" not in run("list", "--user", "olivia")[0]


def test_revoke_takes_the_prefix_or_the_whole_secret(olivia: User) -> None:
    for form in (lambda token, secret: token.prefix, lambda token, secret: secret):
        token, secret = tokens.issue(olivia)
        run("revoke", form(token, secret))
        assert client_of(token=secret).get(f"{V1}/missions").status_code == 401
