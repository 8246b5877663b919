"""Questions from outside that are answered in words or by a schema; the answer reaches who asked."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals.models import Decision
from missions.web import tokens
from tests.conftest import Person
from tests.web.rest import client_of, fields_of, post, problem_of
from tests.web.visits import get, signed_in

pytestmark = pytest.mark.django_db
ASKED = {"sentence": "Where does it go?", "tiers": [{"group": "supervisors"}]}
DEPOT = {
    "type": "object", "required": ["depot"], "properties": {
        "depot": {"type": "string", "enum": ["north", "south"], "title": "Depot"},
        "pallets": {"type": "integer", "minimum": 1}, "note": {"type": "string", "maxLength": 500},
    },
}  # fmt: skip
TEXT, SCHEMA = {"form": "text"}, {"form": "schema", "schema": DEPOT}


@pytest.fixture
def agent(person: Person) -> Any:
    return client_of(token=tokens.issue(person("robot"), scopes=("decisions:open", "decisions:read"))[1])


def ask(agent: Any, answers: dict[str, Any]) -> dict[str, Any]:
    opened: dict[str, Any] = post(agent, "/decisions", {**ASKED, "answers": answers}).json()
    assert (opened["state"], opened["answers"]) == ("open", answers)
    return opened


def vote(user: User, opened: dict[str, Any], answer: Any) -> Any:
    sent = {"verdict": "approve", "digest": opened["digest"], "answer": answer}
    return post(client_of(user), f"/decisions/{opened['id']}/votes", sent)


def test_an_answer_in_words_is_polled(agent: Any, sam: User) -> None:
    opened = ask(agent, TEXT)
    assert fields_of(problem_of(vote(sam, opened, None), 422, "invalid_vote")) == {"answer"}
    assert vote(sam, opened, "To the northern depot.").status_code == 200
    found = agent.get(f"/api/v1/decisions/{opened['id']}").json()
    assert (found["state"], found["resolution"]["value"]) == ("approved", "To the northern depot.")


def test_an_answer_by_a_schema_fits_it(agent: Any, sam: User) -> None:
    opened = ask(agent, SCHEMA)
    wrong = problem_of(vote(sam, opened, {"depot": "west", "colour": "red"}), 422, "invalid_vote")
    assert fields_of(wrong) == {"answer", "answer.depot"}
    assert vote(sam, opened, {"depot": "north", "pallets": 3}).status_code == 200
    found = agent.get(f"/api/v1/decisions/{opened['id']}").json()
    assert found["resolution"]["value"] == {"depot": "north", "pallets": 3}


def test_the_page_has_a_form_of_the_schema(agent: Any, sam: User) -> None:
    opened = ask(agent, SCHEMA)
    html = get(sam, f"/queue/{opened['id']}/")
    assert 'name="answer-depot"' in html and "Decline to answer" in html and "Whoever asked reads it" in html
    sent = {"verdict": "approve", "digest": opened["digest"], "answer-depot": "south", "answer-pallets": "2"}
    assert signed_in(sam).post(f"/queue/{opened['id']}/vote/", sent).status_code == 303
    assert Decision.objects.get().resolution["value"] == {"depot": "south", "pallets": 2}


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"answers": {"form": "poem"}}, "answers.form"), ({"answers": {}}, "answers.form"),
        ({"answers": {"form": "schema"}}, "answers.schema"), ({"answers": {**TEXT, "schema": DEPOT}}, "answers.schema"),
        ({"answers": {"form": "schema", "schema": {"type": "string"}}}, "answers.schema"),
        ({"answers": {"form": "schema", "schema": {"$ref": "https://8.8.8.8/schema"}}}, "answers.schema"),
        ({"answers": TEXT, "choices": [{"value": "a", "label": "A"}]}, "answers"),
        ({"answers": TEXT, "action": {"tool": "shop.refund"}}, "answers"),
    ],
)  # fmt: skip
def test_what_nobody_could_answer_is_refused(agent: Any, sam: User, more: dict[str, Any], field: str) -> None:
    problem = problem_of(post(agent, "/decisions", {**ASKED, **more}), 422, "invalid_input")
    assert fields_of(problem) == {field} and not Decision.objects.exists()


def test_another_form_of_the_answer_is_another_question(agent: Any, sam: User) -> None:
    ask(agent, TEXT)
    first = post(agent, "/decisions", {**ASKED, "answers": TEXT, "key": "one"})
    assert first.status_code == 201
    problem_of(post(agent, "/decisions", {**ASKED, "answers": SCHEMA, "key": "one"}), 409, "key_reused")
