"""Starting a mission in the console: the form that a schema becomes, errors by field, once is once."""

from __future__ import annotations

import datetime as dt
import enum
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

import pytest
from django import forms
from django.contrib.auth.models import User
from django.test import Client
from pydantic import BaseModel, Field, TypeAdapter

from missions.engine import registry
from missions.models import Entry, Mission
from missions.web.schema_form import ObjectField
from observability.console.forms import StartForm
from tests import parcels, thinkers
from tests.conftest import Person

pytestmark = pytest.mark.django_db
URL = "/missions/start/test.parcel/"
GOOD = {"input-address": "1 High Street", "input-weight": "3", "input-form-once": "abc"}


class Speed(enum.Enum):
    SLOW, FAST = "slow", "fast"


class Order(BaseModel):
    """Every kind of field that a form knows."""

    order_id: str = Field(pattern="^ORD-[0-9]+$", examples=["ORD-1001"])
    amount: Decimal = Field(gt=0, decimal_places=2)
    weight: float = 1.5
    count: int = Field(default=1, ge=1)
    gift: bool = False
    speed: Speed | None = None
    carrier: Literal["road", "rail"] = "road"
    day: dt.date | None = None
    customer_note: str | None = None
    tags: list[str] = []


def order_form(data: dict[str, str] | None = None) -> StartForm:
    fields = {f"input-{name}": value for name, value in data.items()} if data is not None else None
    return StartForm(TypeAdapter(Order).json_schema(), lambda value: value, fields)


def test_each_type_of_the_schema_gets_its_field() -> None:
    fields = order_form().fields
    assert {name: type(fields[name]) for name in Order.model_fields} == {
        "order_id": forms.CharField, "amount": forms.DecimalField, "weight": forms.FloatField,
        "count": forms.IntegerField, "gift": forms.BooleanField, "speed": forms.ChoiceField,
        "carrier": forms.ChoiceField, "day": forms.CharField, "customer_note": forms.CharField, "tags": ObjectField,
    }  # fmt: skip
    assert [name for name, field in fields.items() if field.required] == ["order_id", "amount", "form-once"]
    assert isinstance(fields["customer_note"].widget, forms.Textarea)
    assert isinstance(fields["order_id"].widget, forms.TextInput)
    assert [value for value, _ in fields["speed"].choices] == ["", "slow", "fast"]
    assert fields["order_id"].help_text == "For example ORD-1001."


def test_what_is_left_empty_is_left_out_so_that_defaults_hold() -> None:
    form = order_form({"order_id": "ORD-1", "amount": "900.00", "form-once": "x", "carrier": "rail"})
    assert form.is_valid(), form.errors
    assert form.mission_input() == {"order_id": "ORD-1", "amount": "900.00", "gift": False, "carrier": "rail"}


def test_amounts_stay_the_decimal_texts_that_were_typed() -> None:
    form = order_form({"order_id": "ORD-1", "amount": "0.10", "form-once": "x", "tags": '["a"]', "count": "2"})
    assert form.is_valid()
    assert (form.mission_input()["amount"], form.mission_input()["tags"]) == ("0.10", ["a"])


@pytest.mark.parametrize("amount", ["NaN", "abc", "1,5", ""])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    assert "amount" in order_form({"order_id": "ORD-1", "amount": amount, "form-once": "x"}).errors


def once_of(html: str) -> str:
    found = re.search(r'name="input-form-once" value="(\w+)"', html)
    assert found is not None
    return found.group(1)


@pytest.fixture
def operator(olivia: User) -> Client:
    client = Client()
    client.force_login(olivia)
    return client


def test_a_good_form_starts_the_mission_and_leads_to_it(operator: Client, olivia: User) -> None:
    response = operator.post(URL, {**GOOD, "input-form-title": "For the museum"})
    mission = Mission.objects.get()
    assert (response.status_code, response["Location"]) == (303, f"/missions/{mission.uid}/")
    brief = mission.brief
    assert (brief.title, brief.started_by, brief.started_via) == ("For the museum", olivia, "console")
    assert Entry.objects.get().seq == 1


def test_a_double_submit_starts_one_mission(operator: Client) -> None:
    first, second = operator.post(URL, GOOD), operator.post(URL, GOOD)
    assert first["Location"] == second["Location"]
    assert Mission.objects.count() == 1


def test_the_same_form_with_other_values_asks_before_starting_another(operator: Client) -> None:
    operator.post(URL, GOOD)
    again = operator.post(URL, {**GOOD, "input-weight": "4"})
    html = again.content.decode()
    assert again.status_code == 422
    assert f"/missions/{Mission.objects.get().uid}/" in html
    assert once_of(html) != "abc"
    assert operator.post(URL, {**GOOD, "input-weight": "4", "input-form-once": once_of(html)}).status_code == 303
    assert Mission.objects.count() == 2


def test_errors_stand_beside_their_fields_with_422_and_what_was_typed_is_kept(operator: Client) -> None:
    response = operator.post(URL, {**GOOD, "input-weight": "heavy", "input-note": "by <b>hand</b>"})
    html = response.content.decode()
    assert response.status_code == 422
    assert Mission.objects.count() == 0
    field = re.search(r'<input[^>]*name="input-weight"[^>]*>', html)
    assert field is not None
    assert 'aria-invalid="true"' in field.group()
    described = re.search(r'aria-describedby="([^"]*)"', field.group())
    assert described is not None
    assert all(f'id="{name}"' in html for name in described.group(1).split())
    assert "by &lt;b&gt;hand&lt;/b&gt;" in html
    assert 'value="1 High Street"' in html


class Strict(BaseModel):
    code: str = Field(pattern="^[A-Z]+$", examples=["ABC"])
    total: Decimal = Field(gt=0)
    count: int = 1


@pytest.fixture
def strict_type() -> Iterator[str]:
    async def strict(m: Any, request: Strict) -> None: ...

    registry.register("test.strict", 1, "Strict", strict)
    yield "test.strict"
    registry._types.pop(("test.strict", 1))


def test_the_schemas_own_check_has_the_last_word(operator: Client, strict_type: str) -> None:
    data = {"input-code": "abc", "input-total": "-1", "input-count": "many", "input-form-once": "x"}
    response = operator.post(f"/missions/start/{strict_type}/", data)
    html = response.content.decode()
    assert response.status_code == 422
    assert "expected form. For example ABC." in html
    assert "greater than 0" in html
    assert "Enter a whole number." in html
    assert html.count('aria-invalid="true"') == html.count('class="field__error"') == 3


def test_each_form_has_a_token_of_its_own(operator: Client) -> None:
    first, second = (once_of(operator.get(URL).content.decode()) for _ in range(2))
    assert first != second


def test_the_choice_lists_the_types(operator: Client) -> None:
    assert 'href="/missions/start/test.parcel/"' in operator.get("/missions/start/").content.decode()
    assert operator.get("/missions/start/unheard.of/").status_code == 404


@pytest.mark.parametrize(
    ("group", "status"), [("operators", 303), ("supervisors", 303), ("finance", 403), ("auditors", 403)]
)
def test_operators_and_supervisors_may_start_and_others_may_not(person: Person, group: str, status: int) -> None:
    client = Client()
    client.force_login(person("somebody", group))
    assert client.post(URL, GOOD).status_code == status
    assert client.get(URL).status_code == (200 if status == 303 else 403)
    assert Mission.objects.count() == (1 if status == 303 else 0)
    assert ("/missions/start/" in client.get("/missions/").content.decode()) == (status == 303)


def test_a_form_without_its_csrf_token_starts_nothing(olivia: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(olivia)
    assert client.post(URL, GOOD).status_code == 403
    assert Mission.objects.count() == 0


assert parcels.TYPE == "test.parcel"  # the type whose form these tests fill in is registered by importing it


def test_agents_mission_offers_the_agents_that_are_in_force_and_refuses_others(person: Person, client: Client) -> None:
    thinkers.version("scout")
    client.force_login(person("olivia", "operators"))
    page = client.get("/missions/start/agent/").content.decode()
    assert "Scout (scout)" in page and ">null<" not in page
    bad = client.post("/missions/start/agent/", {"input-agent": "nobody", "input-goal": "Go.", "input-form-once": "1"})
    assert bad.status_code == 422 and not Mission.objects.exists()
    good = client.post("/missions/start/agent/", {"input-agent": "scout", "input-goal": "Go.", "input-form-once": "2"})
    assert good.status_code == 303 and Mission.objects.get().type == "agent"
