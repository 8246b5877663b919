"""Bad input is told clearly, at every door: no failure in the log, no row changed, no status that blames us."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from approvals import votes
from approvals.models import Decision
from missions.models import Mission
from missions.web import tokens
from tests import decisions, parcels
from tests.web.rest import V1, client_of, fields_of, post, problem_of
from tests.web.test_get_changes_nothing import digests

pytestmark = pytest.mark.django_db
TWO_MEBIBYTES = "x" * 2 * 1024 * 1024


@pytest.fixture
def mission(olivia: User) -> Mission:
    """A mission that waits for its decision."""
    return decisions.waiting_mission(olivia)


@pytest.fixture
def decision(mission: Mission) -> Decision:
    """An open decision of supervisors."""
    return decisions.opened(mission)


@pytest.fixture
def unharmed(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], None]]:
    """Call it when all is prepared; afterwards no row has changed and nothing was logged as our fault."""
    before: dict[str, str] = {}
    yield lambda: before.update(digests())
    assert before, "the test did not say when it was prepared"
    assert digests() == before
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def raw(client: Any, body: bytes, kind: str = "application/json") -> Any:
    """POST bytes to the missions."""
    return client.generic("POST", f"{V1}/missions", body, content_type=kind)


def start_body(inner: bytes) -> bytes:
    """A request to start a mission whose input holds `inner` as the note."""
    return b'{"type": "test.parcel", "input": {"address": "x", "weight": 1, "note": ' + inner + b"}}"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (start_body(b"NaN"), 400, "bad_number"),
        (start_body(b"-Infinity"), 400, "bad_number"),
        (start_body(b"1e400"), 400, "bad_number"),
        (start_body(b'"a\\u0000b"'), 400, "nul_character"),
        (start_body(b'"\\ud83c"'), 400, "lone_surrogate"),
        (start_body(b"[" * 40 + b"]" * 40), 400, "too_deep"),
        (start_body(b"[" * 100_000 + b"]" * 100_000), 400, "too_deep"),
        (start_body(b'{"a": 1, "a": 2}'), 400, "duplicate_key"),
        (start_body(b'"\xff"'), 400, "not_utf8"),
        (b"[]", 400, "not_an_object"),
        (b"{", 400, "bad_json"),
        (start_body(b'"' + TWO_MEBIBYTES.encode() + b'"'), 413, "payload_too_large"),
        (start_body(b"7"), 422, "invalid_input"),
        (b'{"type": "nonsense", "input": {}}', 422, "unknown_type"),
        (b'{"type": "test.parcel", "input": {"address": "x"}}', 422, "invalid_input"),
        (b'{"type": "test.parcel", "input": {"address": "x", "weight": 1, "colour": 2}}', 422, "invalid_input"),
        (b'{"type": "test.parcel", "input": {"address": "x", "weight": "many"}}', 422, "invalid_input"),
        (b'{"type": "test.parcel", "input": {"address": "x", "weight": 1}, "colour": 2}', 422, "invalid_input"),
        (b'{"type": "test.parcel", "input": 7}', 422, "invalid_input"),
        (b"{}", 422, "invalid_input"),
    ],
)
def test_a_start_that_can_not_be_taken(
    olivia: User, unharmed: Callable[[], None], body: bytes, status: int, code: str
) -> None:
    client = client_of(olivia)
    unharmed()
    problem_of(raw(client, body), status, code)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense"])
def test_a_body_of_another_type(olivia: User, unharmed: Callable[[], None], kind: str) -> None:
    client = client_of(olivia)
    unharmed()
    problem_of(raw(client, start_body(b'""'), kind), 415, "unsupported_media_type")


@pytest.mark.parametrize("key", ["", "x" * 201, "a\x00b"])
def test_an_idempotency_key_that_can_not_be_kept(olivia: User, unharmed: Callable[[], None], key: str) -> None:
    client, body = client_of(olivia), {"type": parcels.TYPE, "input": parcels.INPUT}
    unharmed()
    problem_of(post(client, "/missions", body, HTTP_IDEMPOTENCY_KEY=key), 422, "invalid_input")


@pytest.mark.parametrize("header", ["Token nonsense", "Token", "Token \x00", "Token é"])
def test_a_bad_token(unharmed: Callable[[], None], header: str) -> None:
    unharmed()
    problem_of(client_of().get(f"{V1}/missions", HTTP_AUTHORIZATION=header), 401, "bad_token")


def test_an_expired_token(olivia: User, clock: Any, unharmed: Callable[[], None]) -> None:
    client = client_of(token=tokens.issue(olivia, days=1)[1])
    clock.advance(days=2)
    unharmed()
    problem_of(post(client, "/missions", {"type": parcels.TYPE, "input": parcels.INPUT}), 401, "bad_token")


PATHS = ("/missions/{}", "/missions/{}/journal", "/missions/{}/decisions", "/decisions/{}")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("malformed", ["7", "x" * 36, "{uuid}", "%00", "00000000-0000-0000-0000-00000000000", "..%2f"])
def test_a_malformed_id(olivia: User, unharmed: Callable[[], None], path: str, malformed: str) -> None:
    client = client_of(olivia)
    unharmed()
    problem_of(client.get(V1 + path.format(malformed)), 404, "not_found")


@pytest.mark.parametrize("path", PATHS)
def test_an_id_of_nothing(olivia: User, unharmed: Callable[[], None], path: str) -> None:
    client = client_of(olivia)
    unharmed()
    code = "unknown_mission" if path.startswith("/missions") else "unknown_decision"
    problem_of(client.get(V1 + path.format(uuid.uuid4())), 404, code)


@pytest.mark.parametrize(
    "path", ["/missions", "/effects", "/decisions", "/missions/{}/journal", "/missions/{}/decisions"]
)
@pytest.mark.parametrize("cursor", ["nonsense", "%00", "W10", "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OV0", "é", "x" * 5000])
def test_a_bad_cursor(olivia: User, mission: Mission, unharmed: Callable[[], None], path: str, cursor: str) -> None:
    client = client_of(olivia)
    unharmed()
    response = client.get(f"{V1}{path.format(mission.uid)}?cursor={cursor}")
    problem_of(response, 400, "bad_parameter" if cursor == "%00" else "bad_cursor")


@pytest.mark.parametrize("after", ["nonsense", "9" * 30, "1.9.1.1", "-1.0.0.0", "é"])
def test_a_bad_place_in_the_rail(olivia: User, unharmed: Callable[[], None], after: str) -> None:
    client = client_of(olivia)
    unharmed()
    problem_of(client.get(f"{V1}/observations?after={after}"), 400, "bad_cursor")


# -- Votes over REST ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("outsider", 404, "unknown_decision"), ("fiona", 404, "unknown_decision"),
        ("audrey", 403, "not_eligible"), ("olivia", 403, "not_eligible"),
    ],
)  # fmt: skip
def test_a_foreign_vote(
    name: str, status: int, code: str, request: pytest.FixtureRequest, decision: Decision,
    unharmed: Callable[[], None],
) -> None:  # fmt: skip
    client = client_of(request.getfixturevalue(name))
    unharmed()
    response = post(client, f"/decisions/{decision.pk}/votes", {"verdict": "approve", "digest": decision.digest})
    assert problem_of(response, status, code)["detail"]


@pytest.mark.parametrize("digest", ["0" * 64, "x", ""])
def test_a_vote_for_what_is_no_longer_asked(
    sam: User, decision: Decision, unharmed: Callable[[], None], digest: str
) -> None:
    client = client_of(sam)
    unharmed()
    response = post(client, f"/decisions/{decision.pk}/votes", {"verdict": "approve", "digest": digest})
    if digest:
        assert problem_of(response, 409, "stale_digest")["digest"] == decision.digest
    else:
        assert fields_of(problem_of(response, 422, "invalid_input")) == {"digest"}


def test_a_vote_on_a_settled_decision(
    sam: User, person: Any, decision: Decision, unharmed: Callable[[], None]
) -> None:
    votes.cast(decision.pk, sam, "reject", decision.digest, comment="No.", channel="api")
    client = client_of(person("simon", "supervisors"))
    unharmed()
    response = post(client, f"/decisions/{decision.pk}/votes", {"verdict": "approve", "digest": decision.digest})
    told = problem_of(response, 409, "decision_closed")
    assert (told["state"], told["resolution"]["verdict"], told["resolution"]["by"]) == ("rejected", "rejected", ["sam"])


@pytest.mark.parametrize(
    "change", [{"verdict": "maybe"}, {"verdict": 1}, {"comment": "x" * 5000}, {"digest": None}, {"weight": 3}]
)
def test_a_vote_that_is_not_one(
    sam: User, decision: Decision, unharmed: Callable[[], None], change: dict[str, Any]
) -> None:
    client, body = client_of(sam), {"verdict": "approve", "digest": decision.digest, **change}
    unharmed()
    problem_of(post(client, f"/decisions/{decision.pk}/votes", body), 422, "invalid_input")


# -- Pages -------------------------------------------------------------------------------------------------------------
def page_of(user: User) -> Client:
    """A browser in which a person is signed in."""
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


@pytest.mark.parametrize(
    "path",
    [
        "/missions/?q=%00", "/missions/?state=nonsense", "/missions/?cursor=nonsense", "/missions/?q=" + "x" * 5000,
        "/queue/?q=%00", "/queue/?view=nonsense", "/queue/?cursor=nonsense", "/queue/?kind=%00",
        "/missions/start/nonsense/", "/missions/start/%00/", "/missions/7/", f"/missions/{uuid.UUID(int=7)}/",
        "/queue/7/", f"/queue/{uuid.UUID(int=7)}/",
    ],
)  # fmt: skip
def test_a_page_with_bad_parameters_is_a_page_all_the_same(
    olivia: User, unharmed: Callable[[], None], path: str
) -> None:
    client = page_of(olivia)
    unharmed()
    response = client.get(path)
    assert response.status_code in (200, 302, 400, 404)
    assert response["Content-Type"].startswith("text/html") or response.status_code == 302


@pytest.mark.parametrize(
    "form",
    [{}, {"address": "x"}, {"address": "x", "weight": "many"}, {"address": "a\x00b", "weight": "1"},
     {"address": "x", "weight": "1", "title": "x" * 201}],
)  # fmt: skip
def test_a_start_form_that_does_not_fit_is_shown_again(
    olivia: User, unharmed: Callable[[], None], form: dict[str, str]
) -> None:
    client = page_of(olivia)
    unharmed()
    response = client.post(f"/missions/start/{parcels.TYPE}/", {"once": "1", **form})
    assert response.status_code == 422
    assert "<form" in response.content.decode()


def test_a_vote_by_form_for_what_is_no_longer_asked_is_shown_again(
    sam: User, decision: Decision, unharmed: Callable[[], None]
) -> None:
    client = page_of(sam)
    unharmed()
    response = client.post(f"/queue/{decision.pk}/vote/", {"verdict": "approve", "digest": "0" * 64})
    assert response.status_code == 409
    assert "<form" in response.content.decode()


def test_a_vote_by_form_of_somebody_of_no_tier_is_refused(
    audrey: User, decision: Decision, unharmed: Callable[[], None]
) -> None:
    client = page_of(audrey)
    unharmed()
    form = {"verdict": "approve", "digest": decision.digest}
    assert client.post(f"/queue/{decision.pk}/vote/", form).status_code == 403


def test_a_form_of_two_mebibytes_is_refused_and_changes_nothing(sam: User, decision: Decision) -> None:
    client = page_of(sam)
    before = digests()
    form = {"verdict": "approve", "digest": decision.digest, "comment": TWO_MEBIBYTES}
    kind = "application/x-www-form-urlencoded"
    body = "&".join(f"{name}={value}" for name, value in form.items())
    response = client.post(f"/queue/{decision.pk}/vote/", body, content_type=kind)
    assert response.status_code in (400, 413)
    assert digests() == before
