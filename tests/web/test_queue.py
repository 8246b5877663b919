"""The queue page and the list of decisions: who sees what, saved views, pages, fragments."""

from __future__ import annotations

import datetime as dt

import pytest
from django.urls import reverse

from approvals import queue, votes
from approvals.models import Decision
from tests.decisions import FINANCE, SUPERVISORS, in_doubt, opened, waiting_mission

pytestmark = pytest.mark.django_db


def shown(client, **params):
    """The ids of the rows on the queue page."""
    return [row.decision.pk for row in client.get(reverse("queue"), params).context["rows"]]


def test_strangers_are_sent_to_the_sign_in(client):
    response = client.get(reverse("queue"))
    assert (response.status_code, response["Location"]) == (302, "/login/?next=/queue/")


def test_reviewers_see_what_waits_for_their_vote(client, sam, fiona):
    mine = opened(waiting_mission(), SUPERVISORS, FINANCE)
    theirs = opened(waiting_mission(), FINANCE)
    client.force_login(sam)
    assert shown(client) == [mine.pk]
    votes.cast(mine.pk, sam, "approve", mine.digest, channel="console")
    assert shown(client) == []
    client.force_login(fiona)
    assert set(shown(client)) == {mine.pk, theirs.pk}


def test_owners_watch_what_they_asked_for_and_can_not_vote_on_it(client, person):
    owner = person("ann", "supervisors")
    decision = opened(waiting_mission(started_by=owner))
    client.force_login(owner)
    assert shown(client) == []
    assert shown(client, view="open") == [decision.pk]


def test_outsiders_see_nothing_and_are_told_why(client, outsider):
    decision = opened(waiting_mission())
    client.force_login(outsider)
    assert shown(client, view="open") == []
    assert "in no group that decides" in client.get(reverse("queue")).content.decode()
    assert client.get(reverse("decision", args=[decision.pk])).status_code == 404
    for name in ("decision-vote", "decision-claim", "decision-release"):
        assert client.post(reverse(name, args=[decision.pk])).status_code == 404


@pytest.mark.parametrize("group", ["operators", "auditors"])
def test_overseers_see_all_and_vote_on_none(client, person, group):
    decision = opened(waiting_mission())
    client.force_login(person("otto", group))
    assert shown(client, view="open") == [decision.pk]
    page = client.get(reverse("decision", args=[decision.pk])).content.decode()
    assert "you are not in it" in page
    assert "vote-form" not in page


def test_saved_views_hold_what_they_say_and_are_counted(client, sam, olivia, clock):
    claimed, doubt = opened(waiting_mission()), in_doubt(waiting_mission())
    later = opened(waiting_mission(), {**SUPERVISORS, "sla_seconds": 5 * 3600})
    done = opened(waiting_mission())
    votes.cast(done.pk, sam, "reject", done.digest, comment="No.", channel="console")
    queue.claim(claimed.pk, sam)
    sam.groups.add(olivia.groups.get())
    client.force_login(sam)
    assert shown(client, view="mine") == [claimed.pk]
    assert set(shown(client, view="my_tiers")) == {claimed.pk, doubt.pk, later.pk}
    assert set(shown(client, view="unclaimed")) == {doubt.pk, later.pk}
    assert shown(client, view="due_soon") == [claimed.pk]
    assert shown(client, view="in_doubt") == [doubt.pk]
    assert shown(client, view="done") == [done.pk]
    counts = {tab["view"].value: tab["count"] for tab in client.get(reverse("queue")).context["tabs"]}
    assert counts == {
        "mine": 1, "my_tiers": 3, "unclaimed": 2, "due_soon": 1, "in_doubt": 1, "policy_changes": 0, "open": 3,
        "done": None,
    }  # fmt: skip
    clock.advance(minutes=16)
    assert shown(client, view="mine") == []


def test_open_decisions_come_by_due_time_and_page_by_page(client, sam):
    made = [opened(waiting_mission(), {**SUPERVISORS, "sla_seconds": 1000 + 60 * (number % 7)}) for number in range(11)]
    made += [opened(waiting_mission(), {**SUPERVISORS, "sla_seconds": None}) for _ in range(4)]
    client.force_login(sam)
    wanted = sorted(made, key=lambda row: (row.due_at or dt.datetime.max.replace(tzinfo=dt.UTC), row.pk))
    found, url = [], f"{reverse('queue')}?limit=4"
    while url:
        page = client.get(url).context
        found += [row.decision.pk for row in page["rows"]]
        url = page["next_url"]
    assert found == [row.pk for row in wanted]


def test_settled_decisions_come_latest_first_page_by_page(client, sam, clock):
    made = []
    for _ in range(5):
        made.append(opened(waiting_mission()))
        clock.advance(60)
        votes.cast(made[-1].pk, sam, "approve", made[-1].digest, channel="console")
    client.force_login(sam)
    first = client.get(reverse("queue"), {"view": "done", "limit": 3}).context
    second = client.get(first["next_url"]).context
    found = [row.decision.pk for row in [*first["rows"], *second["rows"]]]
    assert found == [row.pk for row in reversed(made)]


def test_the_list_is_filtered_by_kind_and_text(client, olivia):
    client.force_login(olivia)
    doubt = in_doubt(waiting_mission(), sentence="Did the payment happen?")
    other = opened(waiting_mission())
    assert shown(client, view="open", kind="in_doubt") == [doubt.pk]
    assert shown(client, view="open", q="PATEL") == [other.pk]
    assert shown(client, view="open", q=other.mission.brief.title) == [other.pk]
    page = client.get(reverse("queue"), {"view": "open", "q": "nothing like it"})
    assert "hidden by the filter" in page.content.decode()


@pytest.mark.parametrize("params", [{"view": "everything"}, {"kind": "x"}, {"cursor": "!"}, {"limit": "many"}])
def test_parameters_that_mean_nothing_are_refused(client, sam, params):
    client.force_login(sam)
    assert client.get(reverse("queue"), params).status_code == 400


def test_a_page_costs_the_same_number_of_statements_however_many_rows(client, sam, django_assert_max_num_queries):
    client.force_login(sam)
    for _ in range(12):
        opened(waiting_mission(), SUPERVISORS, FINANCE)
    with django_assert_max_num_queries(28):
        client.get(reverse("queue"))


def test_htmx_gets_the_list_alone_under_its_id(client, sam):
    decision = opened(waiting_mission())
    client.force_login(sam)
    fragment = client.get(reverse("queue"), headers={"HX-Request": "true"}).content.decode()
    assert fragment.lstrip().startswith("<div")
    for found in ('id="queue-list"', 'id="queue-rows"', 'id="queue-counts"', f'id="decision-row-{decision.pk}"'):
        assert found in fragment
    assert "<html" not in fragment


def test_a_row_says_what_is_asked_and_how_far_it_is(client, sam, fiona):
    decision = opened(waiting_mission(), {**SUPERVISORS, "quorum": 2})
    votes.cast(decision.pk, sam, "approve", decision.digest, channel="console")
    client.force_login(sam)
    page = client.get(reverse("queue"), {"view": "open"}).content.decode()
    for text in ("Refund £900.00 to A. Patel", "supervisors", "1 of 2 votes", "Can be undone", "Low risk", "nobody"):
        assert text in page
    assert reverse("mission", args=[decision.mission.uid]) in page


def test_hostile_text_is_escaped_and_hidden_characters_are_shown(client, sam):
    opened(waiting_mission(), sentence="<script>alert(1)</script> pay \u202e0001")
    client.force_login(sam)
    page = client.get(reverse("queue")).content.decode()
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "U+202E" in page


def test_reading_changes_nothing(client, sam):
    decision = opened(waiting_mission())
    client.force_login(sam)
    before = list(Decision.objects.values()), list(decision.tiers.values())
    for url in (reverse("queue"), reverse("decision", args=[decision.pk])):
        assert client.get(url).status_code == 200
    for name in ("decision-vote", "decision-claim", "decision-release"):
        response = client.get(reverse(name, args=[decision.pk]), {"verdict": "approve", "digest": decision.digest})
        assert (response.status_code, response["Location"]) == (302, reverse("decision", args=[decision.pk]))
    assert (list(Decision.objects.values()), list(decision.tiers.values())) == before
