"""The pages of agents: making versions, putting them in force, going back; who may; what is shown of them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import Group, User
from django.test import Client
from playwright.sync_api import expect

from missions.agents import activation, identities, versions
from missions.agents.activation import Deed
from missions.agents.versions import Wish
from missions.engine import period_budgets, stops
from missions.engine.clock import database_now
from missions.models import Activation, Agent, AgentVersion, Engagement, Mission
from observability.models import Spend
from tests import parcels
from tests.agents import SAID, WRITES, isolated, made, unisolated
from tests.web.conftest import Visit
from tests.web.visits import get, page_of, signed_in

pytestmark = pytest.mark.django_db
PAGE = "/agents/of/researcher/"
FORM = {
    "name": "researcher", "title": "Researcher", "instructions": "Read what there is.", "llm": "local/small",
    "tools": ["orders.get"], "more_tools": "nothing.*\nagent:helper", "level": "confidential", "labels": "moon",
    "turns": "5", "tokens": "", "cost": "2.50", "memory_scope": "mission", "egress": "api.example.org:443",
    "isolation": "", "note": "As agreed.",
}  # fmt: skip
WHY = {"reason": "As agreed."}


@pytest.fixture
def ada() -> User:
    """An agent admin."""
    user = User.objects.create_user("ada")
    user.groups.add(Group.objects.get_or_create(name="agent-admins")[0])
    return user


def second(**said: Any) -> AgentVersion:
    """Another version; not in force."""
    return versions.save("researcher", {**SAID, "title": "Second", **said}, Wish(note="Better.", base=1)).version


def test_an_agent_is_made_with_what_was_typed(ada: User) -> None:
    assert "Make the first one" in get(ada, "/agents/")
    answer = signed_in(ada).post("/agents/new/", FORM)
    assert (answer.status_code, answer["Location"]) == (303, f"{PAGE}versions/1/")
    version = AgentVersion.objects.get()
    assert version.tools == ["orders.get", "nothing.*", "agent:helper"] and version.llm == ["local/small"]
    assert (version.budget, version.data_classes) == ({"turns": 5, "cost": "2.50"}, ["confidential", "moon"])
    assert (version.note, version.created_by, version.egress) == ("As agreed.", ada, ["api.example.org:443"])
    html = get(ada, f"{PAGE}versions/1/")
    assert "Not known here" in html and "confidential, moon" in html and "Absent here" in html
    assert "No LLM is configured" in html and "There is no agent:helper yet" in html
    twice = signed_in(ada).post("/agents/new/", FORM)
    assert twice["Location"] == f"{PAGE}versions/1/" and AgentVersion.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"title": ""}, "title", "required"), ({"name": "A b"}, "name", "a letter first"),
        ({"llm": "small"}, "llm", "PROVIDER/MODEL"), ({"more_tools": "a b"}, "more_tools", "no name or glob"),
        ({"labels": "No+"}, "labels", "no data class"), ({"turns": "0"}, "turns", "whole number"),
        ({"turns": "many"}, "turns", "whole number"), ({"cost": "-3"}, "cost", "money"),
        ({"egress": "example.org"}, "egress", "HOST:PORT"), ({"instructions": "x" * 70_000}, "instructions", "65536"),
        ({"tools": ["no.tool"]}, "tools", "valid choice"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_shown_again_beside_its_field(ada: User, wrong: Any, field: str, said: str) -> None:
    answer = signed_in(ada).post("/agents/new/", {**FORM, "title": "Kept title", **wrong})
    html = answer.content.decode()
    assert answer.status_code == 422 and f'id="id_{field}_error"' in html and said in html
    assert "Kept title" in html or "title" in wrong
    assert not Agent.objects.exists()


def test_a_name_that_is_taken_is_told_beside_it(ada: User) -> None:
    made()
    answer = signed_in(ada).post("/agents/new/", FORM)
    assert answer.status_code == 422 and "There is an agent researcher already" in answer.content.decode()


def test_a_check_tells_what_is_odd_and_keeps_nothing(ada: User) -> None:
    html = signed_in(ada).post("/agents/new/", {**FORM, "do": "check"})
    assert html.status_code == 200 and "with 4 warnings" in html.content.decode() and not Agent.objects.exists()
    assert "Read what there is." in html.content.decode()


def test_a_version_is_edited_compared_put_in_force_and_taken_back(ada: User) -> None:
    made(by=ada)
    client = signed_in(ada)
    assert 'value="orders.get" checked' in get(ada, f"{PAGE}edit/")
    body = {**FORM, "instructions": "Read what there is.\nSay less.", "tools": ["orders.get"], "more_tools": "",
            "level": "internal", "labels": "", "base": "1"}  # fmt: skip
    assert client.post(f"{PAGE}edit/", body)["Location"] == f"{PAGE}versions/2/"
    version = AgentVersion.objects.get(number=2)
    assert version.base is not None and version.base.number == 1
    html = get(ada, f"{PAGE}versions/2/")
    assert "What it changes of v1" in html and "Say less." in html
    diff = get(ada, f"{PAGE}difference/?old=1&new=2")
    assert "<del>" in diff and "Budget" in diff and "Title" not in diff.split("What differs")[1]
    refused = client.post(f"{PAGE}versions/2/activate/", {"reason": " ", "seen": "1"})
    assert refused.status_code == 422 and "Say why" in refused.content.decode()
    done = client.post(f"{PAGE}versions/2/activate/", {**WHY, "seen": "1"})
    assert done["Location"] == PAGE and identities.active("researcher").version == 2
    late = client.post(f"{PAGE}roll-back/", {"reason": "Typed", "to": "1", "seen": "1"})
    html = late.content.decode()
    assert late.status_code == 409 and "Typed" in html and "v2 is in force now" in html
    assert client.post(f"{PAGE}roll-back/", {**WHY, "to": "1", "seen": "2"}).status_code == 303
    assert client.post(f"{PAGE}retire/", {**WHY, "seen": "1"}).status_code == 303
    html = get(ada, PAGE)
    assert "No version is in force." in html and "Rolled back v1" in html and "Bring it back" in html
    told = [one.what for one in Activation.objects.order_by("pk")]
    assert told == ["activated", "activated", "rolled_back", "retired"]


def test_what_lacks_its_isolation_is_refused_with_what_is_missing(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    unisolated(monkeypatch)
    made(in_force=False, **WRITES)
    answer = signed_in(ada).post(f"{PAGE}versions/1/activate/", {**WHY, "seen": "0"})
    html = answer.content.decode()
    assert answer.status_code == 409 and "No self-test has run" in html and "filesystem" in html
    assert "payments.refund" in html
    isolated(monkeypatch)
    assert signed_in(ada).post(f"{PAGE}versions/1/activate/", {**WHY, "seen": "0"}).status_code == 303
    assert "In place" in get(ada, PAGE)


def test_who_oversees_reads_and_others_find_nothing(olivia: User, paula: User, ada: User, outsider: User) -> None:
    made()
    second()
    deeds = ["/agents/new/", f"{PAGE}edit/", f"{PAGE}versions/2/activate/", f"{PAGE}roll-back/", f"{PAGE}retire/"]
    for user in (olivia, paula):
        html = get(user, PAGE)
        assert "Researcher" in html and "New version" not in html and "Retire" not in html
        assert 'href="/agents/"' in html and "Put it in force" not in get(user, f"{PAGE}versions/2/")
        assert {signed_in(user).post(path, {**FORM, **WHY}).status_code for path in deeds} == {403}
    pages = ["/agents/", PAGE, f"{PAGE}versions/1/", f"{PAGE}difference/", *deeds]
    assert {signed_in(outsider).get(path).status_code for path in pages} == {404}
    assert {signed_in(outsider).post(path, {**FORM, **WHY}).status_code for path in deeds} == {404}
    assert 'href="/agents/"' not in get(outsider, "/missions/")
    assert {Client().get(path).status_code for path in pages} == {302}
    for path in (f"{PAGE}versions/9/", "/agents/of/nobody/", f"{PAGE}difference/?old=7"):
        assert signed_in(ada).get(path).status_code == 404
    assert Agent.objects.count() == 1 and Activation.objects.count() == 1


def test_the_page_tells_its_missions_its_budgets_and_its_stop(olivia: User, ada: User) -> None:
    made(instructions="<b>Read</b> \u202ethis")
    run = parcels.mission(title="Find the order")
    Engagement.objects.create(mission_id=run.pk, seq=2, agent="researcher", version=1)
    parcels.mission(title="Another")
    counted = {"counts": "effects", "amount": Decimal(1000), "period": "day", "on_exhausted": "deny"}
    period_budgets.add(name="deeds", subject="agent", subject_name="researcher", **counted)
    html = get(olivia, PAGE)
    assert "Find the order" in html and "deeds" in html and "Stop this agent" in html
    assert "&lt;b&gt;Read" in html and "\u202e" not in html
    assert "Find the order" not in get(ada, PAGE)  # who edits agents does not see missions by that
    stops.press("agent", "researcher", reason="It invents.", by="olivia")
    assert "It invents." in get(olivia, PAGE) and "Stop this agent" not in get(olivia, PAGE)
    listed = get(olivia, "/missions/?agent=researcher")
    assert "Find the order" in listed and "Another" not in listed
    assert 'name="agent" value="researcher" form="bulk-form"' in listed or Mission.objects.count() == 2
    told = get(olivia, page_of(run))
    assert f'{PAGE}versions/1/">researcher v1' in told


def spent(version: int, days: int = 0, **told: Any) -> None:
    """What an LLM took for a version so many days ago."""
    day = database_now().date() - dt.timedelta(days=days)
    amounts = {"turns": 1, "tokens_in": 1200, "tokens_out": 30, "cost": "0.5", "currency": "GBP", **told}
    Spend.objects.create(agent="researcher", day=day, version=version, member=f"local/{days}", **amounts)


def test_the_page_tells_what_it_spent_by_version_and_what_had_no_price(ada: User) -> None:
    made()
    assert "Nothing yet" in get(ada, PAGE)
    second()
    spent(1, turns=2000, cost="1234.5678912")
    spent(1, 29, cost="0.25")
    spent(1, 30, turns=7, cost="9000")  # too long ago
    spent(2, 1, turns=3, failed=1, unpriced=2, cost="0", currency="USD")
    spent(2, 2, cost="0.00002", currency="EUR")
    Spend.objects.create(agent="", day=database_now().date(), version=0, turns=5, cost=77, currency="GBP")
    html = get(ada, PAGE).split('id="spend-heading"')[1].split("</section>")[0]
    assert "Nothing yet" not in html and "2 answers had no price and are not in the cost" in html
    assert "1 turn brought no answer" in html and "10,234" not in html
    one, two = (html.split(f'id="spend-{number}"')[1].split("</tr>")[0] for number in (1, 2))
    assert "2,001" in one and "1,234.8179 GBP" in one and "no known price" not in one and "2,400" in one
    assert "under 0.0001 EUR" in two and "USD" not in two and "without 2 of no known price" in two
    total = html.split('id="spend-total"')[1].split("</tr>")[0]
    assert "2,005" in total and "1,234.8179 GBP" in total and "EUR" in total


def test_a_version_whose_answers_had_no_price_costs_nobody_knows_what(ada: User) -> None:
    made()
    spent(1, unpriced=1, cost="0", currency="USD")
    html = get(ada, PAGE).split('id="spend-heading"')[1].split("</section>")[0]
    assert "not known" in html and "1 answer had no price and is not in the cost" in html and "0.00" not in html


def test_a_long_text_that_is_rewritten_is_compared_in_time(ada: User) -> None:
    made(instructions="\n".join(f"{n}" for n in range(9000)))
    second(instructions="\n".join(f"x{n}" for n in range(9000)))
    assert "removed" in get(ada, f"{PAGE}difference/")


# -- In a browser ------------------------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 320), ("dark", 320)])
def test_no_page_of_agents_breaks_an_accessibility_rule(visit: Visit, ada: User, scheme: str, width: int) -> None:
    made(by=ada)
    second(tools=["*", "nothing.here", "agent:researcher"], llm=["local/small"], budget={"turns": 5})
    activation.activate("researcher", 1, Deed(by=ada, via="console", why="x"))
    ada.groups.add(Group.objects.get_or_create(name="operators")[0])
    for seq in (2, 3):
        run = parcels.mission(title="Find the order")
        Engagement.objects.create(mission_id=run.pk, seq=seq, agent="researcher", version=1)
    spent(1)
    spent(2, failed=1, unpriced=1, cost="0", tokens_in=123_456_789)
    for path in ("/agents/", PAGE, f"{PAGE}versions/2/", f"{PAGE}difference/", f"{PAGE}edit/", "/agents/new/"):
        page = visit(ada, path, color_scheme=scheme, viewport={"width": width, "height": 900})
        page.wait_for_load_state("networkidle")
        assert Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.context.close()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scripts", [True, False])
def test_a_version_is_made_and_put_in_force_with_the_keyboard_alone(visit: Visit, ada: User, scripts: bool) -> None:
    page = visit(ada, "/agents/", java_script_enabled=scripts)
    page.get_by_role("link", name="New agent").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/agents/new/")
    for label, text in (("Name", "clerk"), ("Title", "Clerk"), ("Instructions", "Read.")):
        page.get_by_label(label, exact=True).focus()
        page.keyboard.type(text)
    page.locator("input[value='orders.get']").focus()
    page.keyboard.press("Space")
    page.get_by_label("Title", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/agents/of/clerk/versions/1/")
    page.get_by_label("Why").focus()
    page.keyboard.type("It reads only.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/agents/of/clerk/")
    expect(page.get_by_text("clerk v1 is in force.")).to_be_visible()
    assert identities.active("clerk").tools == ("orders.get",)
