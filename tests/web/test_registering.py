"""Registering an MCP server: on the page of tools and by REST; who may, and what is said where it can not be."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User

from missions.engine import tool_forms
from missions.models import ServerVersion
from missions.tools import learning
from tests.conftest import Person
from tests.web.conftest import Visit
from tests.web.rest import client_of, post, problem_of
from tests.web.visits import get, signed_in

pytestmark = pytest.mark.django_db
SAID = {"name": "notes", "url": "https://8.8.8.8/mcp", "tools": {"add": {"effect": "irreversible"}}}
TEXT = "name: notes\nurl: https://8.8.8.8/mcp\ntools:\n  add: {effect: irreversible}\n"
HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture(autouse=True)
def _forgotten(db: None) -> Any:
    yield
    ServerVersion.objects.all().delete()
    learning.refresh()


@pytest.fixture
def ada(person: Person) -> User:
    """An administrator."""
    return person("ada", is_superuser=True, is_staff=True)


def test_by_rest_from_registering_to_taking_away(ada: User, paula: User, olivia: User) -> None:
    client = client_of(ada)
    made = post(client, "/tools/servers", {**SAID, "reason": "Wanted.", "base": 0})
    assert (made.status_code, made.json()["version"], made.json()["document"]) == (201, 1, SAID)
    assert (made.json()["by"], made.json()["via"], made.json()["reason"]) == ("ada", "api", "Wanted.")
    assert post(client, "/tools/servers", SAID).status_code == 200
    assert post(client, "/tools/servers", {**SAID, "trusted": True}).json()["version"] == 2
    told = problem_of(post(client, "/tools/servers", {**SAID, "base": 1}), 409, "server_changed")
    assert told["detail"] == "Somebody has changed this server meanwhile; look at it again."
    found = client_of(paula).get("/api/v1/tools/servers").json()["results"][-1]
    assert (found["name"], found["source"], found["version"], found["state"]) == ("notes", "registered", 2, "new")
    one = client_of(paula).get("/api/v1/tools/servers/notes").json()
    assert (one["document"], [row["version"] for row in one["versions"]]) == ({**SAID, "trusted": True}, [2, 1])
    veiled = client_of(olivia).get("/api/v1/tools/servers/notes").json()
    assert (veiled["version"], veiled["document"], veiled["versions"]) == (2, None, [])
    assert "effect: irreversible" not in get(olivia, "/tools/servers/notes/")
    (tool,) = [row for row in client_of(paula).get("/api/v1/tools").json()["results"] if row["server"] == "notes"]
    assert (tool["name"], tool["effect_class"], tool["retry_safety"]) == ("notes.add", "irreversible", "manual")
    assert client.delete("/api/v1/tools/servers/notes", {"reason": "Gone."}, format="json").status_code == 204
    assert problem_of(client.delete("/api/v1/tools/servers/notes"), 404, "unknown_server")
    gone = client.get("/api/v1/tools/servers/notes").json()
    assert (gone["state"], [row["version"] for row in gone["versions"]]) == ("gone", [3, 2, 1])
    assert [row["name"] for row in client.get("/api/v1/tools/servers").json()["results"]] == ["payments"]
    assert not [row for row in client.get("/api/v1/tools").json()["results"] if row["server"] == "notes"]
    assert post(client, "/tools/servers", {**SAID, "base": 0}).status_code == 201  # 0 stands for none


def test_one_of_the_file_is_told_without_its_description_and_stays(ada: User) -> None:
    one = client_of(ada).get("/api/v1/tools/servers/payments").json()
    assert (one["source"], one["version"], one["document"], one["versions"]) == ("file", None, None, [])
    told = problem_of(post(client_of(ada), "/tools/servers", {**SAID, "name": "payments"}), 422, "invalid_input")
    assert told["errors"][0]["field"] == "name"
    assert problem_of(client_of(ada).delete("/api/v1/tools/servers/payments"), 404, "unknown_server")


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "name"), ({"name": "notes"}, ""), ({**SAID, "command": ["x"]}, ""), ({**SAID, "say": 1}, "say"),
        ({**SAID, "url": "http://127.0.0.1/"}, "url"), ({**SAID, "url": "http://169.254.169.254/"}, "url"),
        ({**SAID, "url": 7}, "url"), ({**SAID, "tools": []}, "tools"),
        ({**SAID, "tools": {"a b": {}}}, "tools.a b.[key]"),
        ({**SAID, "headers": {"Authorization": "Bearer x"}}, "headers"), ({**SAID, "readable": ["/"]}, "readable"),
        ({**SAID, "url": "https://a..b/"}, "url"), ({**SAID, "url": f"https://{'x' * 64}.example/"}, "url"),
        ({**SAID, "base": -1}, "base"), ({**SAID, "trusted": "perhaps"}, "trusted"), ({**SAID, "reason": 7}, "reason"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_by_field(ada: User, said: dict[str, Any], field: str) -> None:
    told = problem_of(post(client_of(ada), "/tools/servers", said), 422, "invalid_input")
    assert [error["field"] for error in told["errors"]] == [field]
    assert not ServerVersion.objects.exists()


def test_only_administrators_register(paula: User, olivia: User) -> None:
    for somebody in (paula, olivia):
        assert problem_of(post(client_of(somebody), "/tools/servers", SAID), 403, "permission_denied")
        assert problem_of(client_of(somebody).delete("/api/v1/tools/servers/notes"), 403, "permission_denied")
        assert "Register a server" not in get(somebody, "/tools/")
        assert signed_in(somebody).get("/tools/servers/new/").status_code == 403
        assert signed_in(somebody).post("/tools/servers/new/", {"text": TEXT, "base": "0"}).status_code == 403
    assert not ServerVersion.objects.exists()


def test_on_the_page_from_registering_to_taking_away(ada: User, paula: User) -> None:
    client = signed_in(ada)
    assert "/tools/servers/new/" in get(ada, "/tools/")
    assert "Bearer ${db:notes}" in get(ada, "/tools/servers/new/")
    made = client.post("/tools/servers/new/", {"text": TEXT, "base": "0", "reason": HOSTILE})
    assert (made.status_code, made["Location"]) == (303, "/tools/servers/notes/")
    html = get(paula, "/tools/servers/notes/")
    assert "effect: irreversible" in html and "Administrators change it." in html and "Take it away" not in html
    assert "&lt;script&gt;" in html and "\u202e" not in html
    assert "registered by ada" in get(paula, "/tools/") and "notes.add" in get(paula, "/tools/")
    changed = {"text": TEXT.replace("irreversible", "write"), "base": "1", "reason": "It can be undone."}
    assert client.post("/tools/servers/notes/", changed).status_code == 303
    late = client.post("/tools/servers/notes/", {**changed, "text": TEXT + "trusted: true\n"})
    assert late.status_code == 422 and "Somebody has changed this server meanwhile" in late.content.decode()
    assert "trusted: true" in late.content.decode()  # what was typed is kept
    other = client.post("/tools/servers/notes/", {"text": TEXT.replace("notes", "other"), "base": "2"})
    assert other.status_code == 422 and "This page is about notes." in other.content.decode()
    assert signed_in(paula).post("/tools/servers/notes/", changed).status_code == 403
    assert signed_in(paula).post("/tools/servers/notes/remove/").status_code == 403
    client.post("/tools/servers/notes/remove/", {"base": "1"})
    assert "Somebody has changed this server meanwhile" in client.get("/tools/servers/notes/").content.decode()
    assert client.post("/tools/servers/notes/remove/", {"reason": "Gone.", "base": "2"}).status_code == 303
    assert client.post("/tools/servers/notes/remove/").status_code == 404
    assert client.get("/tools/servers/nothing/").status_code == 404
    html = get(ada, "/tools/servers/notes/")
    assert "Taken away" in html and "Register again" in html and "Gone." in html
    assert client.post("/tools/servers/notes/", {"text": TEXT, "base": "3"}).status_code == 303
    assert client.post("/tools/servers/notes/remove/", {"base": "4"}).status_code == 303
    assert client.post("/tools/servers/new/", {"text": TEXT, "base": "0"}).status_code == 303
    assert list(ServerVersion.objects.order_by("number").values_list("via", flat=True)) == ["console"] * 6


def test_faults_of_a_text_have_their_lines(ada: User) -> None:
    client = signed_in(ada)
    for text, said in (
        (TEXT.replace("irreversible", "perhaps"), "Line 4, tools.add.effect:"), ("name: [", "this is not YAML"),
        (TEXT + "url: x\n", "Line 5: url is given twice."), (TEXT + 'env: {A: "\\0"}\n', "NUL"),
        ("? [a]\n: b\n", "not YAML"), ("x: !!bool maybe\n", "not YAML"), ("", "This field is required"),
        (TEXT.replace("8.8.8.8", "10.0.0.1"), "Line 2, url: 10.0.0.1 leads to a private address"),
    ):
        answer = client.post("/tools/servers/new/", {"text": text, "base": "0"})
        assert (answer.status_code, said in answer.content.decode()) == (422, True), said
    assert not ServerVersion.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 320)])
def test_the_pages_are_accessible(visit: Visit, ada: User, scheme: str, width: int) -> None:
    signed_in(ada).post("/tools/servers/new/", {"text": TEXT, "base": "0", "reason": "Wanted."})
    tool_forms.unreached("notes", "Connecting failed: no answer")
    for place in ("/tools/", "/tools/servers/new/", "/tools/servers/notes/", "/tools/servers/payments/"):
        page = visit(ada, place, color_scheme=scheme, viewport={"width": width, "height": 900})
        page.wait_for_load_state("networkidle")
        assert Axe().run(page).response["violations"] == [], place
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place


@pytest.mark.django_db(transaction=True)
def test_a_server_is_registered_by_keyboard(visit: Visit, ada: User) -> None:
    page = visit(ada, "/tools/servers/new/")
    page.get_by_label("Description").focus()
    page.keyboard.insert_text(TEXT.replace("irreversible", "perhaps"))
    page.get_by_role("button", name="Register").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Nothing was registered.").wait_for()
    visit.complaints.clear()  # type: ignore[attr-defined]  # the browser notes the answer 422
    assert page.get_by_label("Description").get_attribute("aria-invalid") == "true"
    page.get_by_label("Description").fill(TEXT)
    page.get_by_role("button", name="Register").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="notes").wait_for()
    assert ServerVersion.objects.get().document["name"] == "notes"
