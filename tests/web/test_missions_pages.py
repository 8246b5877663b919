"""The list of missions and the page of one: who sees what, filters, pages, fragment ids, hostile text."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from missions.engine.starting import start
from missions.models import Mission, State
from observability.console import listing
from tests import parcels, rail
from tests.conftest import Person
from tests.decisions import opened, waiting_mission
from tests.web.visits import get, page_of, signed_in

pytestmark = pytest.mark.django_db
LIST = "/missions/"


def rows(html: str) -> list[str]:
    """The titles in the list, from the top."""
    return re.findall(r'<th role="rowheader" scope="row"><a [^>]*>([^<]*)</a>', html)


# -- Who sees what -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["operators", "auditors", "supervisors", "finance", "legal", "policy-admins"])
def test_members_of_the_six_groups_see_all_missions(person: Person, outsider: User, group: str) -> None:
    mission = parcels.mission(outsider, title="Oscar's parcel")
    reader = person("reader", group)
    assert rows(get(reader, LIST)) == ["Oscar&#x27;s parcel"]
    assert f'id="mission-header-{mission.uid}"' in get(reader, page_of(mission))


def test_owners_see_their_missions_and_outsiders_none_of_others(person: Person, olivia: User, outsider: User) -> None:
    theirs, mine = parcels.mission(olivia, title="Olivia's"), parcels.mission(outsider, title="Mine")
    assert rows(get(outsider, LIST)) == ["Mine"]
    assert signed_in(outsider).get(page_of(mine)).status_code == 200
    refused = signed_in(outsider).get(page_of(theirs))
    assert (refused.status_code, "Olivia" in refused.content.decode()) == (404, False)
    assert rows(get(person("eve"), LIST)) == []


@pytest.mark.parametrize("path", [LIST, "/missions/start/", "/missions/start/test.parcel/"])
def test_strangers_are_sent_to_sign_in(client: Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, f"/login/?next={path}")


def test_what_does_not_exist_answers_404_and_a_bad_cursor_400(olivia: User) -> None:
    mission = parcels.mission(olivia)
    client = signed_in(olivia)
    assert client.get("/missions/01a2046c-433f-7976-8e13-6e906736dde3/").status_code == 404
    assert client.get(f"{page_of(mission)}?before=nonsense").status_code == 400


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_the_pages_only_read(olivia: User, method: str) -> None:
    mission = parcels.mission(olivia)
    for path in (LIST, page_of(mission)):
        assert getattr(signed_in(olivia), method)(path).status_code == 405


# -- The list ----------------------------------------------------------------------------------------------------------


def test_the_list_is_filtered_by_state_type_and_title(olivia: User) -> None:
    parcels.mission(olivia, title="For the museum")
    asleep = parcels.park(parcels.mission(olivia, title="For the school"), "timer")
    assert rows(get(olivia, LIST)) == ["For the school", "For the museum"]
    assert rows(get(olivia, f"{LIST}?state={State.SLEEPING}")) == [asleep.brief.title]
    assert rows(get(olivia, f"{LIST}?q=MUSEUM")) == ["For the museum"]
    assert rows(get(olivia, f"{LIST}?type=test.parcel&q=school")) == ["For the school"]
    assert rows(get(olivia, f"{LIST}?type=unknown")) == []
    assert len(rows(get(olivia, f"{LIST}?state=nonsense&after=nonsense"))) == 2


def test_percent_signs_and_nul_in_the_search_are_only_text(olivia: User) -> None:
    parcels.mission(olivia, title="Half")
    parcels.mission(olivia, title="100 % sure")
    assert rows(get(olivia, f"{LIST}?q=%25")) == ["100 % sure"]
    assert get(olivia, f"{LIST}?q=%00")


def test_pages_are_stable_and_end(olivia: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 2)
    made = [parcels.mission(olivia, title=f"Parcel {number}").brief.title for number in range(5)]
    seen, path = [], f"{LIST}?q=Parcel"
    while path:
        html = get(olivia, path)
        seen += rows(html)
        parcels.mission(olivia, title="Parcel that came meanwhile")
        older = re.search(r'href="(\?[^"]*)">Older', html)
        path = LIST + older.group(1).replace("&amp;", "&") if older else ""
    assert seen == list(reversed(made))


@pytest.mark.parametrize(
    ("waits_for", "words"),
    [("signal:customs_cleared", "the message “customs cleared”"), ("timer", "a set time"),
     ("tool:parcels.send", "parcels.send to answer again")],
)  # fmt: skip
def test_what_a_mission_waits_for_is_told_in_words(olivia: User, waits_for: str, words: str) -> None:
    parcels.park(parcels.mission(olivia), waits_for)
    text = re.sub(r"<[^>]*>", "", get(olivia, LIST))
    assert words in text


def test_a_waiting_decision_is_named_with_its_tier_and_linked(olivia: User) -> None:
    decision = rail.asking(rail.running(olivia))
    html = get(olivia, LIST)
    assert f'supervisors: <a href="/queue/{decision.pk}/">Send the parcel to 1 High Street</a>' in html


def test_an_ended_mission_shows_its_verdict(olivia: User) -> None:
    parcels.complete(parcels.mission(olivia))
    assert "<strong>delivered</strong>" in get(olivia, LIST)


def test_empty_lists_say_what_to_do(olivia: User, outsider: User) -> None:
    assert "/missions/start/" in get(olivia, LIST)
    assert "No missions to see." in get(outsider, LIST)
    assert "No mission fits." in get(olivia, f"{LIST}?q=nothing")


def test_htmx_gets_the_results_alone_and_the_same(olivia: User) -> None:
    parcels.mission(olivia, title="Only one")
    whole, part = get(olivia, LIST), get(olivia, LIST, headers={"HX-Request": "true"})
    assert rows(part) == rows(whole) == ["Only one"]
    assert part.strip().startswith('<section class="card" id="mission-results"')
    assert "<html" not in part


def test_the_list_costs_the_same_for_many_missions(olivia: User, django_assert_max_num_queries: object) -> None:
    for _ in range(12):
        rail.asking(rail.running(olivia))
    client = signed_in(olivia)
    with django_assert_max_num_queries(15):  # type: ignore[operator]
        client.get(LIST)


# -- One mission -------------------------------------------------------------------------------------------------------


def test_fragment_ids_are_there_once(olivia: User) -> None:
    mission = parcels.mission(olivia)
    html = get(olivia, page_of(mission))
    for name in (f"mission-header-{mission.uid}", f"effects-{mission.uid}", "rail", "nav-queue-count", "status"):
        assert html.count(f'id="{name}"') == 1


@pytest.mark.parametrize(("end", "words"), [(parcels.complete, "Verdict: delivered"), (parcels.fail, "The van broke")])
def test_the_head_of_an_ended_mission_says_how(olivia: User, end: object, words: str) -> None:
    mission = end(parcels.mission(olivia))  # type: ignore[operator]
    assert words in get(olivia, page_of(mission)).split("mission-header-")[1].split("</section>")[0]


@pytest.mark.parametrize(("verdict", "tone"), [("denied", "warn"), ("changes_requested", "warn"), ("delivered", "ok")])
def test_what_was_refused_does_not_look_like_a_success(olivia: User, verdict: str, tone: str) -> None:
    mission = parcels.complete(parcels.mission(olivia), verdict)
    assert f"verdict--{tone}" in get(olivia, page_of(mission))


def test_the_head_names_all_that_people_are_asked(olivia: User) -> None:
    mission = waiting_mission()
    first, second = opened(mission, path="pay#1"), opened(mission, path="pay#2")
    third = opened(waiting_mission(), path="pay#1")

    def head() -> str:
        return get(olivia, page_of(mission)).split("mission-header-")[1].split("</section>")[0]

    told = head()
    assert f"/queue/{first.pk}/" in told and f"/queue/{second.pk}/" in told and f"/queue/{third.pk}/" not in told
    Mission.objects.filter(pk=mission.pk).update(state="waiting", waits_for=f"decision:{second.pk}")
    told = head()
    assert told.index(f"/queue/{second.pk}/") < told.index(f"/queue/{first.pk}/")
    assert told.count(f"/queue/{second.pk}/") == 1
    Mission.objects.filter(pk=mission.pk).update(state="running")  # another branch goes on; the question is still open
    assert head().count(f"/queue/{second.pk}/") == 1


def test_the_ledger_lists_effects_with_their_state(olivia: User) -> None:
    mission = parcels.mission(olivia)
    assert "No effects." in get(olivia, page_of(mission))
    effect = parcels.effect(mission)
    ledger = get(olivia, page_of(mission)).split(f'id="effects-{mission.uid}"')[1]
    assert "Send the van" in ledger
    assert effect.key[:12] in ledger
    assert "can be undone" in ledger




def test_the_demo_sign_ins_are_named_only_while_debugging(client: Client, settings: object) -> None:
    settings.DEBUG = False  # type: ignore[attr-defined]
    assert "olivia" not in client.get("/login/").content.decode()
    settings.DEBUG = True  # type: ignore[attr-defined]
    assert "olivia" in client.get("/login/").content.decode()


def test_signing_in_and_out(client: Client, olivia: User) -> None:
    wrong = client.post("/login/", {"username": "olivia", "password": "no"})
    assert "do not match" in wrong.content.decode()
    right = client.post("/login/", {"username": "olivia", "password": "standfast", "next": LIST})
    assert (right.status_code, right["Location"]) == (302, LIST)
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/").status_code == 302
    assert client.get(LIST).status_code == 302


def test_the_page_tells_what_is_used_of_the_budget(olivia: User) -> None:
    mission, _ = start(parcels.TYPE, parcels.INPUT, started_by=olivia, budget={"steps": 5, "effects": 1})
    assert "0 of 5 steps, 0 of 1 effect<" in get(olivia, page_of(mission))
