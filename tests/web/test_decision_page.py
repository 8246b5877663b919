"""The decision page: what it says, and what its forms do with every kind of refusal."""

from __future__ import annotations

import pytest
from django.urls import reverse

from approvals import queue, votes
from approvals.models import Decision, Vote
from missions.governance import EffectClass
from missions.models import Mission, State
from tests.decisions import FINANCE, SUPERVISORS, answers, in_doubt, intent_of, opened, waiting_mission

pytestmark = pytest.mark.django_db


def url_of(decision, name="decision"):
    return reverse(name, args=[decision.pk])


def send(client, decision, verdict="approve", **fields):
    return client.post(url_of(decision, "decision-vote"), {"verdict": verdict, "digest": decision.digest, **fields})


def body(response):
    return response.content.decode()


def test_the_page_tells_in_order_what_is_asked_why_and_what_would_happen(client, sam, person):
    person("simon", "supervisors")
    decision = opened(
        waiting_mission(), {**SUPERVISORS, "quorum": 2, "expires_seconds": 9000, "on_expiry": "reject"}, FINANCE,
        evidence=({"source": "orders.get", "paid": "1500.00"},),
    )
    client.force_login(sam)
    page = body(client.get(url_of(decision)))
    wanted = [
        "Refund £900.00 to A. Patel", decision.digest[:8], "Why you", "A refund moves money.", "refunds v1",
        "small-refund", "Can vote: sam, simon", "then it expires", "Too few people", "What will happen", "Order id",
        "900.00 GBP", "A roll back undoes it", "Evidence", "orders.get", "1500.00", "Your answer", "data-approve",
    ]  # fmt: skip
    places = [page.find(text) for text in wanted]
    assert -1 not in places, wanted[places.index(-1)]
    assert places == sorted(places)
    assert f'id="decision-{decision.pk}"' in page


def test_htmx_gets_the_dossier_without_the_form(client, sam):
    decision = opened(waiting_mission())
    client.force_login(sam)
    fragment = body(client.get(url_of(decision), headers={"HX-Request": "true"}))
    assert fragment.lstrip().startswith("<article")
    assert f'id="decision-{decision.pk}"' in fragment
    assert "vote-form" not in fragment


def test_approving_goes_on_to_the_next_that_waits_for_me(client, sam):
    first = opened(waiting_mission())
    second = opened(waiting_mission(), {**SUPERVISORS, "sla_seconds": 7200})
    opened(waiting_mission(), FINANCE)
    client.force_login(sam)
    response = send(client, first, comment="Fine.")
    assert (response.status_code, response["Location"]) == (303, url_of(second))
    assert Vote.objects.get().channel == "console"
    response = client.get(response["Location"])
    assert "Approved: Refund £900.00" in body(response)
    assert send(client, second)["Location"] == reverse("queue")
    assert len(answers(first)) == len(answers(second)) == 1


@pytest.mark.parametrize("verdict", ["reject", "request_changes"])
def test_a_refusal_without_a_comment_is_shown_at_the_field(client, sam, verdict):
    decision = opened(waiting_mission())
    client.force_login(sam)
    response = send(client, decision, verdict, reason_code="wrong_details")
    assert response.status_code == 422
    assert "Say why" in body(response)
    assert 'value="wrong_details" selected' in body(response)
    assert not Vote.objects.exists()


def test_too_long_a_comment_is_kept_and_refused(client, sam):
    decision = opened(waiting_mission())
    client.force_login(sam)
    response = send(client, decision, "reject", comment="x" * 4001)
    assert response.status_code == 422
    assert "x" * 4001 in body(response)
    assert not Vote.objects.exists()


def test_an_old_digest_keeps_the_comment_and_disables_approval(client, sam):
    decision = opened(waiting_mission())
    client.force_login(sam)
    response = send(client, decision, digest="0" * 64, comment="Looks right to me.")
    page = body(response)
    assert response.status_code == 409
    assert "has changed since you opened it" in page
    assert 'data-approve disabled' in page
    assert "Looks right to me.</textarea>" in page
    again = client.post(url_of(decision), {"comment": "Looks right to me."})
    assert again.status_code == 200
    assert "Looks right to me.</textarea>" in body(again)
    assert 'data-approve disabled' not in body(again)
    assert not Vote.objects.exists()


def test_a_late_answer_is_told_who_was_first_and_keeps_its_draft(client, sam, person):
    decision = opened(waiting_mission())
    votes.cast(decision.pk, person("simon", "supervisors"), "reject", decision.digest, comment="Wrong.", channel="api")
    client.force_login(sam)
    response = send(client, decision, comment="I would approve.")
    page = body(response)
    assert response.status_code == 409
    assert "Rejected by simon" in page
    assert "I would approve.</textarea>" in page
    assert "vote-form" not in page


def test_an_expired_decision_says_so_while_it_is_read(client, sam, clock):
    decision = opened(waiting_mission(), {**SUPERVISORS, "expires_seconds": 60, "on_expiry": "reject"})
    client.force_login(sam)
    clock.advance(61)
    assert "The time is over" in body(client.get(url_of(decision)))
    response = send(client, decision, comment="Too late?")
    assert response.status_code == 409
    assert "Expired" in body(response)
    assert "Too late?</textarea>" in body(response)
    assert Decision.objects.get().state == "expired"


def test_a_superseded_decision_leads_to_what_is_asked_now(client, sam):
    mission = waiting_mission()
    old = opened(mission, path="pay#1")
    new = opened(mission, path="pay#1", digest="b" * 64)
    client.force_login(sam)
    response = send(client, old, comment="Hm.")
    assert response.status_code == 409
    assert url_of(new) in body(response)
    assert "Hm.</textarea>" in body(response)


def test_permission_that_was_lost_while_reading_is_told(client, sam, audrey):
    decision = opened(waiting_mission())
    client.force_login(sam)
    sam.groups.set(audrey.groups.all())
    response = send(client, decision, comment="Mine.")
    assert response.status_code == 403
    assert "you are not in it" in body(response)
    assert "Mine.</textarea>" in body(response)


def test_the_irreversible_is_restated_before_it_is_approved(client, sam):
    mission = waiting_mission()
    decision = opened(mission, intent=intent_of(mission, effect_class=EffectClass.IRREVERSIBLE))
    client.force_login(sam)
    response = send(client, decision, comment="Sure.")
    page = body(response)
    assert response.status_code == 200
    assert "This can not be taken back" in page
    assert "ORD-1001" in page
    assert 'name="comment" value="Sure."' in page
    assert not Vote.objects.exists()
    assert send(client, decision, comment="Sure.", confirmed="0" * 64).status_code == 200
    assert not Vote.objects.exists()
    assert send(client, decision, comment="Sure.", confirmed=decision.digest).status_code == 303
    assert Vote.objects.get().comment == "Sure."


def test_the_irreversible_is_rejected_without_a_second_screen(client, sam):
    mission = waiting_mission()
    decision = opened(mission, intent=intent_of(mission, effect_class=EffectClass.IRREVERSIBLE))
    client.force_login(sam)
    assert send(client, decision, "reject", comment="No.").status_code == 303


def test_a_doubt_is_answered_by_a_choice(client, olivia):
    decision = in_doubt(waiting_mission())
    client.force_login(olivia)
    page = body(client.get(url_of(decision)))
    assert "It did not happen: try again" in page
    assert 'value="reject"' not in page
    assert "Choose one of" in body(send(client, decision))
    refused = send(client, decision, choice="happened", comment="Saw it.")
    assert refused.status_code == 422
    assert 'value="happened" checked' in body(refused)
    assert "Saw it.</textarea>" in body(refused)
    assert send(client, decision, choice="happened", reference="PAY-7").status_code == 303
    assert "PAY-7" in body(client.get(url_of(decision)))


def test_an_approval_that_waits_to_run_is_not_shown_as_done(client, sam):
    mission = waiting_mission(state=State.WAITING)
    decision = opened(mission)
    Mission.objects.filter(pk=mission.pk).update(waits_for=f"decision:{decision.pk}")
    votes.cast(decision.pk, sam, "approve", decision.digest, channel="console")
    client.force_login(sam)
    assert "waiting to run" in body(client.get(url_of(decision)))
    Mission.objects.filter(pk=mission.pk).update(waits_for="", state=State.RUNNING)
    assert "The mission has the answer" in body(client.get(url_of(decision)))


def test_claiming_tells_others_and_is_given_back(client, sam, person):
    simon = person("simon", "supervisors")
    decision = opened(waiting_mission())
    queue.claim(decision.pk, simon)
    client.force_login(sam)
    assert "Take over from simon" in body(client.get(url_of(decision)))
    response = client.post(url_of(decision, "decision-claim"), follow=True)
    assert "You took it over from simon" in body(response)
    assert "Release my claim" in body(response)
    response = client.post(url_of(decision, "decision-release"), follow=True)
    assert "Claim for 15 minutes" in body(response)


def test_what_an_agent_wrote_is_marked(client, sam):
    mission = waiting_mission()
    note = {"title": "Note", "author": "agent"}
    decision = opened(mission, intent=intent_of(mission, agent="refund-agent"), evidence=(note,))
    client.force_login(sam)
    page = body(client.get(url_of(decision)))
    assert "The agent refund-agent wrote this request" in page
    assert "An agent wrote this" in page


def test_long_and_hostile_values_are_cut_escaped_and_made_visible(client, sam):
    mission = waiting_mission()
    args = {"note": "<b>x</b>" + "y" * 5000, "to": "a\u202eb", "<img src=x>": [1, {"deep": True}], "flag": True}
    decision = opened(mission, intent=intent_of(mission, args=args))
    client.force_login(sam)
    page = body(client.get(url_of(decision)))
    assert "3508 more characters" in page
    assert "<b>x" not in page
    assert "<img" not in page
    assert "U+202E" in page
    assert reverse("api-decision", args=[decision.pk]) in page


def test_forms_are_refused_without_a_csrf_token(sam, client):
    decision = opened(waiting_mission())
    client.handler.enforce_csrf_checks = True
    client.force_login(sam)
    assert send(client, decision).status_code == 403
    assert not Vote.objects.exists()
