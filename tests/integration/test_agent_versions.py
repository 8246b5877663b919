"""Versions of agents: what may be saved, what comes in force, what isolation it demands, and what is written down."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from missions.agents import activation, identities, isolation, versions
from missions.agents.activation import Deed, WrongAgentState
from missions.agents.isolation import IsolationAbsent
from missions.agents.versions import AgentExists, Wish
from missions.errors import AgentInactive, InvalidInput, UnknownAgent
from missions.llm import providers
from missions.models import Activation, Agent, AgentVersion
from tests.agents import SAID, WRITES, isolated, made, unisolated

pytestmark = pytest.mark.django_db


def deed(paula: User | None = None, why: str = "As agreed.", **more: Any) -> Deed:
    return Deed(by=paula, via="console", why=why, **more)


def fields_of(said: dict[str, Any]) -> set[str]:
    with pytest.raises(InvalidInput) as refused:
        versions.save("researcher", {**SAID, **said}, Wish())
    return {error["field"] for error in refused.value.errors}


# -- Saving ------------------------------------------------------------------------------------------------------------


def test_a_version_is_kept_as_it_was_said_and_binds_nothing(paula: User) -> None:
    saved = versions.create("researcher", SAID, Wish(by=paula, via="console", note="The first."))
    version = AgentVersion.objects.get()
    assert saved.created and (version.number, version.created_by, version.note) == (1, paula, "The first.")
    assert (version.memory_scope, version.isolation, version.budget, version.llm) == ("mission", "", {}, [])
    with pytest.raises(AgentInactive):
        identities.active("researcher")


def test_the_same_again_makes_nothing_and_something_else_is_another_version() -> None:
    versions.create("researcher", SAID, Wish())
    again = versions.create("researcher", SAID, Wish())
    assert not again.created and again.version.number == 1
    with pytest.raises(AgentExists, match="researcher already"):
        versions.create("researcher", {**SAID, "title": "Other"}, Wish())
    assert not versions.save("researcher", SAID, Wish()).created
    second = versions.save("researcher", {**SAID, "title": "Other"}, Wish(base=1))
    assert second.created and second.version.number == 2 and second.version.base.number == 1
    third = versions.save("researcher", SAID, Wish(base=9))
    assert third.version.number == 3 and third.version.base is None
    with pytest.raises(UnknownAgent):
        versions.save("nobody", SAID, Wish())


@pytest.mark.parametrize("name", ["", "Upper", "1st", "a b", "a_b", "x" * 101, "a\x00"])
def test_a_name_that_can_not_be_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        versions.create(name, SAID, Wish())
    assert refused.value.errors[0]["field"] == "name" and not Agent.objects.exists()


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"title": " "}, "title"), ({"title": "x" * 201}, "title"), ({"title": "a\nb"}, "title"),
        ({"title": 7}, "title"), ({"instructions": ""}, "instructions"),
        ({"instructions": "é" * 32_769}, "instructions"),
        ({"instructions": "a\x00b"}, "instructions"), ({"instructions": "\ud800"}, "instructions"),
        ({"llm": ["small"]}, "llm"), ({"llm": "local/small"}, "llm"), ({"llm": [f"a/{n}" for n in range(11)]}, "llm"),
        ({"tools": ["a b"]}, "tools"), ({"tools": ["x" * 201]}, "tools"), ({"tools": {"a": 1}}, "tools"),
        ({"tools": [f"a.{n}" for n in range(101)]}, "tools"), ({"tools": [7]}, "tools"),
        ({"data_classes": ["Secret stuff"]}, "data_classes"), ({"memory_scope": "world"}, "memory_scope"),
        ({"egress": ["example.org"]}, "egress"), ({"egress": ["*.example.org:443"]}, "egress"),
        ({"egress": ["example.org:65536"]}, "egress"), ({"egress": ["http://example.org:80"]}, "egress"),
        ({"isolation": "prison"}, "isolation"), ({"budget": {"turns": 0}}, "budget.turns"),
        ({"budget": {"turns": True}}, "budget.turns"), ({"budget": {"tokens": 1.5}}, "budget.tokens"),
        ({"budget": {"cost": 2.5}}, "budget.cost"), ({"budget": {"cost": "NaN"}}, "budget.cost"),
        ({"budget": {"cost": "-1"}}, "budget.cost"), ({"budget": {"hours": 1}}, "budget.hours"),
        ({"budget": []}, "budget"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_by_its_field(said: dict[str, Any], field: str) -> None:
    versions.create("researcher", SAID, Wish())
    assert fields_of(said) == {field}
    assert AgentVersion.objects.count() == 1


def test_what_is_odd_is_kept_as_a_warning(settings: Any) -> None:
    settings.LLM_PROVIDERS, settings.LLM_CHAIN = {}, ()
    odd = {"tools": ["nothing.here", "orders.*", "agent:nobody", "agent:odd"], "data_classes": ["confidential", "moon"]}
    version = made("odd", in_force=False, **odd)
    told = " ".join(f"{one['field']}: {one['message']}" for one in version.warnings)
    for words in ("LLM_PROVIDERS", "nothing.here", "agent:nobody", "hand work to itself", "label moon"):
        assert words in told
    assert "orders.*" not in told and "confidential" not in told


def test_a_chain_names_providers_that_are_configured(settings: Any) -> None:
    configured = "local=openai+http://127.0.0.1:9/v1,paid=anthropic"
    settings.LLM_PROVIDERS, settings.LLM_CHAIN = providers.parse(configured), ()
    versions.create("researcher", {**SAID, "llm": ["local/small", "paid/large"]}, Wish())
    assert AgentVersion.objects.get().warnings == []
    assert fields_of({"llm": ["local/small", "other/large"]}) == {"llm"}
    assert versions.save("researcher", SAID, Wish()).version.warnings[0]["field"] == "llm"
    settings.LLM_CHAIN = ("local/small",)
    assert versions.save("researcher", {**SAID, "title": "Other"}, Wish()).version.warnings == []


# -- In force ----------------------------------------------------------------------------------------------------------


def test_what_is_put_in_force_is_written_down(paula: User) -> None:
    made(by=paula)
    versions.save("researcher", {**SAID, "title": "Second"}, Wish())
    activation.activate("researcher", 2, deed(paula, why="Better words."))
    assert identities.active("researcher").title == "Second"
    told = [(one.what, one.previous and one.previous.number, one.version.number, one.by, one.why)  # type: ignore[union-attr]
            for one in Activation.objects.order_by("pk")]  # fmt: skip
    assert told == [("activated", None, 1, "paula", "It reads only."), ("activated", 1, 2, "paula", "Better words.")]


def test_putting_in_force_what_is_so_already_changes_nothing(paula: User) -> None:
    made()
    first = Activation.objects.get()
    assert activation.activate("researcher", 1, deed(paula)) == first
    assert activation.roll_back("researcher", deed(paula), to=1) == first
    assert Activation.objects.count() == 1


def test_rolling_back_goes_to_the_version_before_once_however_often_it_is_sent(paula: User) -> None:
    made()
    for title in ("Second", "Draft", "Fourth"):
        versions.save("researcher", {**SAID, "title": title}, Wish())
    for number in (2, 4):
        activation.activate("researcher", number, deed())
    done = activation.roll_back("researcher", deed(paula, why="It invents.", seen=4))
    assert (done.what, done.previous.number, done.version.number) == ("rolled_back", 4, 2)  # type: ignore[union-attr]
    with pytest.raises(WrongAgentState, match="researcher v2 is in force now"):
        activation.roll_back("researcher", deed(paula, seen=4))
    assert activation.roll_back("researcher", deed(paula, seen=2)).version.number == 1  # type: ignore[union-attr]
    with pytest.raises(WrongAgentState, match="no earlier version"):
        activation.roll_back("researcher", deed(paula, seen=1))
    with pytest.raises(WrongAgentState, match="never in force"):
        activation.roll_back("researcher", deed(paula), to=3)
    with pytest.raises(InvalidInput, match="which version"):
        activation.roll_back("researcher", deed(paula))
    assert activation.activate("researcher", 4, deed()).what == "activated"
    assert activation.activate("researcher", 2, deed()).what == "rolled_back"


def test_a_retired_agent_is_not_in_force_and_can_come_back(paula: User) -> None:
    made()
    assert activation.retire("researcher", deed(paula, why="Done.")).version is None
    with pytest.raises(AgentInactive, match="is retired"):
        identities.active("researcher")
    with pytest.raises(WrongAgentState):
        activation.retire("researcher", deed(paula))
    assert activation.roll_back("researcher", deed(paula, seen=0)).version.number == 1  # type: ignore[union-attr]
    assert Agent.objects.get().retired_at is None


@pytest.mark.parametrize("why", ["", "  ", "x" * 2001, "a\x00"])
def test_whoever_changes_what_is_in_force_says_why(why: str) -> None:
    made()
    for act in (activation.retire, activation.roll_back):
        with pytest.raises(InvalidInput):
            act("researcher", deed(why=why, seen=1))
    assert identities.active("researcher").version == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_who_change_at_once_the_second_is_told() -> None:
    made()
    for title in ("Second", "Third"):
        versions.save("researcher", {**SAID, "title": title}, Wish())
    refused: list[str] = []
    together = threading.Barrier(2)

    def act(number: int) -> None:
        together.wait(20)
        try:
            activation.activate("researcher", number, deed(seen=1))
        except WrongAgentState as error:
            refused.append(str(error))
        finally:
            connection.close()

    people = [threading.Thread(target=act, args=(number,)) for number in (2, 3)]
    for one in people:
        one.start()
    for one in people:
        one.join(20)
    assert len(refused) == 1 and Activation.objects.count() == 2


# -- Isolation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"tools": ["payments.refund"]}, "payments.refund"), ({"tools": ["*"]}, "may write with"),
        ({"tools": ["nothing.here"]}, "nothing.here"), ({"data_classes": ["confidential"]}, "confidential"),
        ({"data_classes": ["regulated"]}, "regulated"), ({"isolation": "sandbox"}, "asks for a sandbox"),
    ],
)  # fmt: skip
def test_what_could_do_harm_is_not_put_in_force_without_isolation(
    said: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unisolated(monkeypatch)
    made(in_force=False, **said)
    with pytest.raises(IsolationAbsent, match="demands isolation that is absent") as refused:
        activation.activate("researcher", 1, deed())
    assert why in str(refused.value) and "No self-test" in str(refused.value)
    assert set(refused.value.facts["missing"]) == set(isolation.CAPABILITIES)
    assert not Activation.objects.exists()
    isolated(monkeypatch, disk="The workspace has no quota; mount it with one.")
    with pytest.raises(IsolationAbsent, match="disk: The workspace has no quota; mount it with one"):
        activation.activate("researcher", 1, deed())
    isolated(monkeypatch)
    assert activation.activate("researcher", 1, deed()).isolation["driver"] == "bubblewrap"


@pytest.mark.parametrize("said", [{}, {"tools": []}, {"tools": ["agent:other"]}, {"data_classes": ["public"]}])
def test_what_only_reads_ordinary_data_needs_none(said: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    unisolated(monkeypatch)
    assert not isolation.standing(made(**said)).is_demanded


def test_a_roll_back_is_kept_from_what_lacks_its_isolation_too(monkeypatch: pytest.MonkeyPatch) -> None:
    isolated(monkeypatch)
    made(**WRITES)
    versions.save("researcher", SAID, Wish())
    activation.activate("researcher", 2, deed())
    unisolated(monkeypatch)
    with pytest.raises(IsolationAbsent):
        activation.roll_back("researcher", deed(seen=2))
    assert identities.active("researcher").version == 2


def test_without_a_self_test_all_is_missing() -> None:
    missing, driver, checked_at = isolation.absent()
    assert set(missing) == set(isolation.CAPABILITIES) and checked_at == "" and driver in ("", "none")
