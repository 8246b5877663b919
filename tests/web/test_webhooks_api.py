"""Webhooks over REST: who sees them, what is kept, deliveries page by page, once more; and following missions."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from approvals.models import Delivery, DeliveryState, Follower, Webhook
from approvals.outbound import events, leasing, spreading, webhooks
from approvals.outbound.wire import Answer
from missions.models import Listener
from missions.web import tokens
from tests import parcels
from tests.web.rest import client_of, fields_of, post, problem_of

pytestmark = pytest.mark.django_db
BODY = {"name": "ops", "url": "https://8.8.8.8/in", "events": ["worker.down"]}


def failing(count: int) -> None:
    """Events whose delivery was given up."""
    for number in range(count):
        with transaction.atomic():
            events.emit("worker.down", sentence=f"Number {number}")
    spreading.spread_all()
    while lot := leasing.take():
        for one in lot:
            leasing.record(one, Answer(error="Answered 410.", status=410, milliseconds=3, final=True))


def test_the_secret_is_told_once(olivia: User) -> None:
    made = post(client_of(olivia), "/webhooks", BODY)
    assert made.status_code == 201 and made.json()["secret"].startswith("whsec_")
    shown = client_of(olivia).get(f"/api/v1/webhooks/{made.json()['id']}").json()
    assert "secret" not in shown and shown == {name: made.json()[name] for name in shown}
    assert (shown["owner"], shown["active"], shown["format"]) == ("olivia", True, "standard")
    [listed] = client_of(olivia).get("/api/v1/webhooks").json()["results"]
    assert listed == shown


def test_to_all_but_operators_and_administrators_webhooks_are_not_there(
    olivia: User, sam: User, audrey: User, paula: User, outsider: User
) -> None:
    made = post(client_of(olivia), "/webhooks", BODY).json()
    failing(1)
    again = f"/webhooks/{made['id']}/deliveries/{Delivery.objects.get().pk}/redeliver"
    for user in (sam, audrey, paula, outsider):
        client = client_of(user)
        assert client.get("/api/v1/webhooks").json()["results"] == []
        problem_of(post(client, "/webhooks", BODY), 403, "permission_denied")
        problem_of(client.get(f"/api/v1/webhooks/{made['id']}"), 404, "unknown_webhook")
        problem_of(client.get(f"/api/v1/webhooks/{made['id']}/deliveries"), 404, "unknown_webhook")
        problem_of(client.patch(f"/api/v1/webhooks/{made['id']}", {}, format="json"), 404, "unknown_webhook")
        problem_of(client.delete(f"/api/v1/webhooks/{made['id']}"), 404, "unknown_webhook")
        problem_of(post(client, again, {}), 404, "unknown_webhook")
    admin = client_of(User.objects.create_superuser("admin"))
    assert len(admin.get("/api/v1/webhooks").json()["results"]) == 1


def test_what_can_not_be_kept_is_refused_by_field(olivia: User) -> None:
    client = client_of(olivia)
    wrong = {"name": "No Name", "url": "http://127.0.0.1/", "events": ["no.such"], "format": "slack"}
    problem = problem_of(post(client, "/webhooks", wrong), 422, "invalid_input")
    assert fields_of(problem) == {"name", "url", "events"}
    assert fields_of(problem_of(post(client, "/webhooks", {"colour": "red"}), 422, "invalid_input")) == {
        "name", "url", "colour",
    }  # fmt: skip
    made = post(client, "/webhooks", BODY).json()
    assert fields_of(problem_of(post(client, "/webhooks", BODY), 422, "invalid_input")) == {"name"}
    inside = client.patch(f"/api/v1/webhooks/{made['id']}", {"url": "http://10.0.0.1/"}, format="json")
    assert fields_of(problem_of(inside, 422, "invalid_input")) == {"url"}
    assert Webhook.objects.get().url == BODY["url"]


def test_what_is_given_is_changed_and_it_is_dropped_with_what_is_on_its_way(olivia: User) -> None:
    client = client_of(olivia)
    made = post(client, "/webhooks", {**BODY, "events": ["*"]}).json()
    assert Listener.objects.filter(pk="all").exists()
    changed = client.patch(f"/api/v1/webhooks/{made['id']}", {"events": ["decision.opened"]}, format="json").json()
    assert (changed["events"], changed["url"]) == (["decision.opened"], BODY["url"])
    assert not Listener.objects.filter(pk="all").exists()
    with transaction.atomic():
        events.emit("worker.down", sentence="…")
    spreading.spread_all()
    assert not Delivery.objects.exists()
    assert client.delete(f"/api/v1/webhooks/{made['id']}").status_code == 204
    assert client.delete(f"/api/v1/webhooks/{made['id']}").status_code == 404


def test_deliveries_come_page_by_page_with_their_tries(olivia: User) -> None:
    client = client_of(olivia)
    made = post(client, "/webhooks", BODY).json()
    failing(5)
    path, seen, cursor = f"/api/v1/webhooks/{made['id']}/deliveries", list[Any](), ""
    while cursor is not None:
        page = client.get(path, {"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen, cursor = seen + page["results"], page["next"]
    assert len({one["id"] for one in seen}) == 5
    one = seen[0]
    assert (one["state"], one["error"], one["event"]) == ("failed", "Answered 410.", "worker.down")
    assert [(log["status"], log["milliseconds"]) for log in one["tries"]] == [(410, 3)] and one["next_at"] is None
    problem_of(client.get(path, {"cursor": "nonsense"}), 400, "bad_cursor")


def test_what_was_given_up_goes_out_once_more(olivia: User) -> None:
    client = client_of(olivia)
    made = post(client, "/webhooks", BODY).json()
    failing(1)
    path = f"/webhooks/{made['id']}/deliveries/{Delivery.objects.get().pk}/redeliver"
    again = post(client, path, {})
    assert again.status_code == 202 and again.json()["state"] == "waiting" and again.json()["next_at"]
    assert post(client, path, {}).status_code == 202  # asked twice, delivered once
    assert len(leasing.take()) == 1
    problem_of(post(client, path, {}), 409, "being_sent")
    other = post(client, "/webhooks", {**BODY, "name": "other"}).json()
    stranger = path.replace(f"/{made['id']}/", f"/{other['id']}/")
    problem_of(post(client, stranger, {}), 404, "unknown_delivery")
    assert Delivery.objects.get().state == DeliveryState.SENDING


def test_tokens_need_scopes_of_their_own(olivia: User) -> None:
    reader = client_of(token=tokens.issue(olivia, scopes=("webhooks:read",))[1])
    assert reader.get("/api/v1/webhooks").status_code == 200
    assert problem_of(post(reader, "/webhooks", BODY), 403, "scope_missing")["scope"] == "webhooks:write"
    other = client_of(token=tokens.issue(olivia, scopes=("missions:write",))[1])
    problem_of(other.get("/api/v1/webhooks"), 403, "scope_missing")


def test_following_needs_sight_and_counts_once(olivia: User, sam: User, outsider: User) -> None:
    mission = parcels.mission(sam)
    path = f"/missions/{mission.uid}/follow"
    problem_of(post(client_of(outsider), path, {}), 404, "unknown_mission")
    assert [post(client_of(olivia), path, {}).status_code for _ in range(2)] == [204, 204]
    assert Follower.objects.count() == 1 and webhooks.Webhook.objects.count() == 0
    assert [client_of(olivia).delete(f"/api/v1{path}").status_code for _ in range(2)] == [204, 204]
    assert not Follower.objects.exists()
