"""A mission type that is restricted to a group: to all others its missions, and what tells of them, do not exist.

Each thing is asked for by its own address, with every verb, and looked for in lists, searches, counts, and in what
other missions, policies and budgets tell. Who is in the group sees all of it, so none of these tests is empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from missions.control import rehearsing
from observability.console import live
from tests.web.asking import Asker, is_rest, values_of
from tests.web.personas import BARRED, KEYED, MARK, SEALED, UNKNOWN, Scene
from tests.web.test_get_changes_nothing import ADDRESSES
from tests.web.test_personas import EXPECTED

pytestmark = [pytest.mark.django_db, pytest.mark.ignore_template_errors]
OF_ITS_OWN = {"uid", "decision_id", "archived_id", "delivery_id"}  # parameters that name what is sealed


@pytest.fixture(scope="module")
def asker(django_db_setup: None, django_db_blocker: Any) -> Iterator[Asker]:
    """Made once, in a transaction around all tests here that is never committed; each request has a savepoint in it."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield Asker(Scene())
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def hasty(settings: Any) -> None:
    settings.MISSIONS_REPLAY_SECONDS = 0.01 - rehearsing.GRACE_SECONDS


def sealed_values(scene: Scene, verb: str, template: str) -> dict[str, Any]:
    return {**values_of(scene, verb, template), **scene.sealed}


def names_sealed(what: str) -> bool:
    """Whether its address can name something that is sealed."""
    template = what.split(" /")[1]
    return bool(OF_ITS_OWN & set(ADDRESSES[template])) or "schedules/%(name)s" in template


NAMED = [what for what in EXPECTED if names_sealed(what)]
WRITERS = ("reviewer", "operator")  # who may do most to what is not sealed
# They lead to a page.
LEADS_BACK = {"act", "callback", "claim", "comment", "delegate", "look", "release", "undo", "vote", "withdraw"}


@pytest.mark.parametrize("who", BARRED)
def test_what_is_sealed_is_not_found_by_anybody_else(who: str, asker: Asker) -> None:
    for what in NAMED:
        verb, template = what.split(" /")
        if verb != "GET" and who not in WRITERS and not is_rest(template):
            continue  # a form of the console takes as long as its page, which they are not shown either
        values = sealed_values(asker.scene, verb, template)
        answer = asker.ask(who, verb, template, values)
        if answer.status_code != 404:  # then the door is closed to this person, whatever there is behind it
            other = asker.ask(who, verb, template, {**values, **UNKNOWN, "name": "none"})
            assert (what, answer.status_code) == (what, other.status_code)
            assert answer.status_code == 403 or template.rstrip("/").rpartition("/")[2] in LEADS_BACK, what
        assert MARK not in answer.content.decode(), what


@pytest.mark.parametrize("who", KEYED)
def test_who_is_in_the_group_finds_it(who: str, asker: Asker) -> None:
    found = {}
    for what in (what for what in NAMED if what.startswith("GET")):
        verb, template = what.split(" /")
        found[what] = asker.ask(who, verb, template, sealed_values(asker.scene, verb, template)).status_code
    assert not [what for what, status in found.items() if status == 404]
    seen = {what for what, status in found.items() if status < 400}
    assert {"GET /missions/%(uid)s/", "GET /queue/%(decision_id)s/", "GET /missions/archive/%(archived_id)s/"} <= seen


# -- What tells of it elsewhere ----------------------------------------------------------------------------------------
KEEPER, KEY, ROOT = "keeper", "keyed reviewer", "administrator"
# Where what is sealed is told of, and who is told of it there.
TOLD = {
    "missions/": KEEPER, "missions/?q=KEYHOLE": KEEPER, "missions/?type={type}": KEEPER, "missions/?state=waiting": "",
    "missions/archive/": KEEPER, "missions/archive/?q=KEYHOLE": KEEPER,
    "queue/?view=open": KEY, "queue/?view=unclaimed": KEY, "queue/?view=my_tiers": "",
    "schedules/": KEEPER, "health/": KEEPER, "missions/{young}/": KEEPER, "missions/{own}/": KEEPER,
    "missions/{own}/roll-back/?to=1": "", "policies/replays/{replay}/": KEEPER,
    "policies/nightly/versions/{number}/": "", "queue/{change}/": "", "queue/{budget}/": "", "budgets/": "",
    "budgets/of/spare/": "", "webhooks/{hook}/": ROOT, "webhooks/{operators}/": ROOT, "me/": "",
    "api/v1/missions": KEEPER, "api/v1/missions?type={type}": KEEPER, "api/v1/missions?q=KEYHOLE": KEEPER,
    "api/v1/missions/{own}": KEEPER, "api/v1/missions/{young}": KEEPER, "api/v1/missions/{own}/rollback?to=1": KEEPER,
    "api/v1/effects": KEEPER, "api/v1/effects?state=in_doubt": KEEPER, "api/v1/archive": KEEPER,
    "api/v1/archive?q=KEYHOLE": KEEPER,
    "api/v1/decisions": KEY, "api/v1/decisions?view=open": KEY, "api/v1/decisions?q=KEYHOLE": KEY,
    "api/v1/decisions/{change}": "", "api/v1/decisions/{budget}": "", "api/v1/decisions/{asked}/similar": "",
    "api/v1/schedules": KEEPER, "api/v1/health": KEEPER, "api/v1/stats": KEEPER, "api/v1/observations": "",
    "api/v1/policies/replays/{replay}/differences": KEEPER, "api/v1/policies/nightly/versions/{number}/touched": "",
    "api/v1/policies/nightly/events": "", "api/v1/budgets/spare": "", "api/v1/webhooks/{hook}/deliveries": ROOT,
    "api/v1/webhooks/{operators}/deliveries": ROOT,
}  # fmt: skip


def places(scene: Scene) -> dict[str, Any]:
    *_, change, budget = scene.taught["decision_id"]
    return {
        "type": SEALED, "own": scene.own.uid, "young": scene.taught["uid"][-1],
        "replay": scene.taught["replay_id"][0], "number": scene.taught["number"][-1], "change": change,
        "budget": budget, "asked": scene.asked.pk, "hook": scene.sealed["webhook_id"],
        "operators": scene.open["webhook_id"],
    }  # fmt: skip


@pytest.mark.parametrize("who", BARRED)
def test_nobody_else_is_told_of_it(who: str, asker: Asker) -> None:
    known = places(asker.scene)
    for path in ("/" + place.format(**known) for place in TOLD):
        answer = asker.get(who, path)
        shown = answer.content.decode().replace(path, "")
        assert (path, [secret for secret in asker.scene.secrets if secret in shown]) == (path, [])


def test_who_is_in_the_group_is_told_of_it(asker: Asker) -> None:
    known = places(asker.scene)
    for place, who in TOLD.items():
        if who:
            assert asker.scene.told_in(asker.get(who, "/" + place.format(**known))), (place, who)


def test_whoever_acts_on_many_acts_on_none_of_it(asker: Asker) -> None:
    sealed = {"filter": {"type": SEALED}, "verb": "pause"}
    taken = {who: asker.post(who, "/api/v1/missions/bulk", sealed).json() for who in ("operator", KEEPER)}
    assert taken["operator"] == {"taken": 0, "refused": 0, "results": []}
    assert taken[KEEPER]["results"]
    page = {"verb": "cancel", "scope": "all", "type": SEALED}
    assert "0 missions" in asker.post("operator", "/missions/bulk/", page).content.decode()


def test_a_vote_among_many_and_the_start_after_it_find_nothing(asker: Asker) -> None:
    scene = asker.scene
    for who in BARRED:
        answers = []
        for decision, mission in ((scene.kept_back.pk, scene.hidden.uid), (UNKNOWN["decision_id"], UNKNOWN["uid"])):
            item = {"id": str(decision), "digest": scene.kept_back.digest}
            after = {"type": SEALED, "input": {"address": "1", "weight": 1}, "after": [str(mission)]}
            past = {"past": {"mission": str(mission), "seq": 2}}
            told = [
                asker.post(who, "/api/v1/decisions/bulk-votes", {"items": [item], "count": 1, "verdict": "approve"}),
                asker.post(who, "/api/v1/missions", after), asker.post(who, "/api/v1/policies/nightly/try", past),
                asker.get(who, f"/api/v1/observations?mission={mission}"),
            ]  # fmt: skip
            ids = (str(decision), str(mission))
            answers.append([(one.status_code, _without(one.content.decode(), ids)) for one in told])
        assert answers[0] == answers[1], who
        assert all(status >= 400 for status, _ in answers[0])


def test_what_is_ticked_in_the_queue_is_not_found(asker: Asker) -> None:
    ticked = {"item": f"{asker.scene.kept_back.pk}:{asker.scene.kept_back.digest}"}
    told = {who: asker.scene.told_in(asker.post(who, "/queue/bulk/", ticked)) for who in asker.scene.cast}
    assert told == {who: who in KEYED for who in told}


def test_the_address_of_something_else_is_no_way_round(asker: Asker) -> None:
    scene = asker.scene
    file, hook = f"/api/v1/missions/{{}}/artifacts/{scene.sealed['digest']}", f"/webhooks/{scene.open['webhook_id']}"
    assert [asker.get(who, file.format(scene.own.uid)).status_code for who in BARRED] == [404] * len(BARRED)
    assert asker.get(KEEPER, file.format(scene.hidden.uid)).status_code == 200
    again = f"{hook}/deliveries/{scene.told_before}"
    for who, status in (("operator", 404), (ROOT, 202)):
        assert asker.post(who, f"/api/v1{again}/redeliver", {}).status_code == status
    assert asker.post("operator", f"{again}/again/", {}).status_code == 404


def _without(text: str, ids: tuple[str, ...]) -> str:
    for one in ids:
        text = text.replace(one, "ID")
    return text


def test_a_socket_looks_at_it_for_who_is_in_the_group(asker: Asker) -> None:
    scene = asker.scene
    looks = {who: live.outlook(live.Viewer(user.pk), scene.hidden.pk) is not None for who, user in scene.cast.items()}
    assert looks == {who: who in KEYED for who in scene.cast}
    outlook = live.outlook(live.Viewer(scene.people["olivia"].pk), scene.own.pk)
    assert outlook is not None and MARK not in "".join(live.surroundings(scene.own.pk, outlook).values())
