"""A GET changes nothing: every address that is served, for every kind of person, against a digest of every table.

The addresses come from the URL map itself, so a new one is covered as soon as it is served. One with a parameter of a
name that is not known here fails until it is taught a real value in `World`.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.regex_helper import normalize

from approvals import delegations, hours, votes
from approvals.outbound import events, spreading, webhooks
from approvals.policies import lifecycle
from approvals.simulation import starting
from approvals.simulation.windows import Window
from missions.agents import activation
from missions.agents import versions as agent_versions
from missions.agents.activation import Deed
from missions.agents.versions import Wish
from missions.authoring import ToolCall, tool
from missions.engine import limits, period_budgets, registered_servers, schedules, stops, tool_forms
from missions.engine.clock import database_now
from missions.engine.registered_servers import Author
from missions.models import EffectState, Engagement, Kind, Mission
from missions.web import tokens
from observability.models import Spend
from tests import agents, archive, decisions, hooked, parcels, policies, policy_lives, replays

GROUPS = {
    "sam": ["supervisors"], "fiona": ["finance"], "lee": ["legal"], "olivia": ["operators"], "paula": ["policy-admins"],
    "audrey": ["auditors"], "outsider": [],
}  # fmt: skip
pytestmark = pytest.mark.django_db
DECIDED = 40  # the seq of a decision that each mission has made
NOT_ROWS_OF_OURS = {"django_session"}
# The addresses that answer 404 by design: the API's catch-all, the admin's, and its link to an object's own page.
LEADS_NOWHERE = {"api/v1/", "admin/%(url)s", "admin/r/%(content_type_id)s/%(object_id)s/"}


def served(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every address of the URL map as a template, and the names of its parameters."""
    for pattern in patterns:
        for part, names in normalize(pattern.pattern.regex.pattern):
            if isinstance(pattern, URLResolver):
                for template, inner in served(pattern.url_patterns, prefix + part):
                    yield template, (*names, *inner)
            elif isinstance(pattern, URLPattern):
                yield prefix + part, tuple(names)


ADDRESSES = dict(served(get_resolver().url_patterns))


def digests() -> dict[str, str]:
    """One digest a table, over all of its rows."""
    tables = sorted(set(connection.introspection.table_names()) - NOT_ROWS_OF_OURS)
    one = "select '{0}', md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from \"{0}\" t"
    with connection.cursor() as cursor:
        cursor.execute(" union all ".join(one.format(table) for table in tables))
        return dict(cursor.fetchall())


@tool(effect="read")
async def nightly(call: ToolCall) -> None:
    """Look around at night"""


class World:
    """People of every persona, and real values for each parameter of an address."""

    def __init__(self) -> None:
        self.people = {name: User.objects.create_user(name) for name in GROUPS}
        self.people["admin"] = User.objects.create_superuser("admin")
        for name, groups in GROUPS.items():
            self.people[name].groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
        self.clients = {"stranger": Client()}
        token, secret = tokens.issue(self.people["olivia"])
        self.clients["robot"] = Client(HTTP_AUTHORIZATION=f"Token {secret}")
        for name, user in self.people.items():
            self.clients[name] = Client()
            self.clients[name].force_login(user)  # signing in writes; reading may not
        self.taught = self.missions_and_decisions() | {
            "type": [parcels.TYPE], "app_label": ["auth"], "content_type_id": [1], "url": ["nonsense"],
            "object_id": [self.people["sam"].pk], "id": [self.people["sam"].pk],
            # A schedule, a tool, a policy, a budget and an agent of the same name, since all addresses call it `name`.
            "name": [schedules.create(nightly.__name__, type=parcels.TYPE, input=parcels.INPUT, cron="0 3 * * *").name],
            "number": self.policy_versions(nightly.__name__), "replay_id": self.replays(),
            "budget": [period_budgets.add(name=nightly.__name__, counts="effects", amount=Decimal(1), period="day").pk],
            "delegation_id": [self.delegation()], "calendar": [self.calendar()],
            "limit_id": [limits.put("tool", nightly.__name__, concurrency=1).pk],
            "seq": [DECIDED], "token_id": [token.pk],
            "form_id": [self.tool_form()],
            "stop_id": [stops.press("tool", nightly.__name__, reason="A test.", by="olivia").pk],
        } | self.what_leaves()  # fmt: skip
        self.agent(nightly.__name__)
        described = {"name": nightly.__name__, "url": "https://8.8.8.8/mcp"}
        registered_servers.save(nightly.__name__, described, Author(by="admin", via="api"))
        hooked.sender(self.people["olivia"], nightly.__name__, **hooked.STARTS).send(hooked.EVENT)

    def what_leaves(self) -> dict[str, list[Any]]:
        """A webhook, and an event that is on its way to it."""
        hook, _ = webhooks.add(owner=self.people["olivia"], name="ops", url="https://8.8.8.8/", events=["*"])
        events.emit("worker.down", sentence="No mission worker is running.")
        spreading.spread_all()
        return {"webhook_id": [hook.pk], "delivery_id": [webhooks.of_channel(hook, self.people["admin"])[0].pk]}

    def agent(self, name: str) -> None:
        """An agent with as many versions as the policy; the second is in force, and the first was."""
        agents.made(name, by=self.people["paula"])
        for title in ("Second", "Third"):
            agent_versions.save(name, {**agents.SAID, "title": title}, Wish(note="As agreed."))
        activation.activate(name, 2, Deed(by=None, via="api", why="As agreed."))
        engaged = {"mission_id": Mission.objects.get(uid=self.taught["uid"][0]).pk, "seq": 2, "version": 1}
        Engagement.objects.create(agent=name, **engaged)
        Spend.objects.create(agent=name, day=database_now().date(), version=1, member="local/small", turns=1)

    def tool_form(self) -> int:
        """A form that waits for people."""
        for digest in ("first", "second"):
            form = {"input_schema": {"title": digest}}
            seen = tool_forms.Sighting(tool="shop.look", server="shop", digest=digest, form=form)
            hold = tool_forms.look(seen)
        assert hold is not None
        return hold.form

    def policy_versions(self, name: str) -> list[int]:
        """One in force, one in review, one draft."""
        in_force = policy_lives.in_force(name=name)
        asked, _ = policy_lives.submitted(policy_lives.STRICT, self.people["paula"], name=name)
        draft = lifecycle.save_draft(name, [policies.row("other", "deny")], by=self.people["paula"])
        return [one.number for one in (in_force, asked, draft)]

    def delegation(self) -> uuid.UUID:
        """A delegation in force."""
        until = database_now() + dt.timedelta(days=30)
        return delegations.give(self.people["sam"], "fiona", until=until).pk

    def calendar(self) -> str:
        """A calendar with a holiday."""
        holidays = {dt.date(2026, 12, 25): "Christmas Day"}
        return hours.make("office", time_zone="UTC", hours={"mon": [["09:00", "17:00"]]}, holidays=holidays).name

    def replays(self) -> list[Any]:
        """A replay that is finished and one that waits."""
        version = replays.in_force(replays.over("0.0"))
        replays.ruled(parcels.mission(), "allow")
        waiting, _ = starting.start(version, Window(), by=self.people["paula"], via="console")
        return [replays.replayed(version).pk, waiting.pk]

    def missions_and_decisions(self) -> dict[str, list[Any]]:
        """Missions and decisions in every state, some of them past their time: a page must not settle them."""
        own, ended = parcels.mission(self.people["outsider"]), parcels.complete(parcels.mission(title="Ended"))
        for state in EffectState:
            parcels.effect(own, state)
        waiting = decisions.waiting_mission(self.people["olivia"])
        lapsing = {**decisions.SUPERVISORS, "expires_seconds": 60, "on_expiry": "reject"}
        found = [
            decisions.opened(waiting, decisions.SUPERVISORS, decisions.FINANCE),
            decisions.opened(waiting, lapsing, path="b#1"), decisions.in_doubt(waiting, path="c#1"),
            decisions.opened(ended), decisions.opened(waiting, path="d#1"),
        ]  # fmt: skip
        votes.cast(found[-1].pk, self.people["sam"], "approve", found[-1].digest, channel="api")
        with connection.cursor() as cursor:
            cursor.execute("update missions_clock set shift = '1 day'")
        parcels.park(own, f"decision:{found[0].pk}")
        gone = archive.leave(parcels.complete(parcels.mission(title="Gone")))
        uids = {"archived_id": [gone.uid], "uid": [own.uid, ended.uid, waiting.uid]}
        for mission in (own, ended, waiting):  # the decision of each is at the same place
            while parcels.append(mission, Kind.DECIDED, {"name": "route", "proposal": "road"}).seq < DECIDED:
                continue
        kept = [parcels.artifact(mission, "label.txt", b"To: 1 High Street") for mission in (own, ended, waiting)]
        return uids | {
            "decision_id": [decision.pk for decision in found], "digest": [bytes(kept[0].digest).hex()],
        }  # fmt: skip


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """Made once, in a transaction around all tests here that is never committed; each test has a savepoint in it."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield World()
        transaction.set_rollback(True)


def paths(template: str, taught: dict[str, list[Any]]) -> list[str]:
    """The template with each combination of its parameters' values."""
    names = ADDRESSES[template]
    combinations = product(*(taught[name] for name in names))
    return ["/" + template % {name: quote(str(value)) for name, value in zip(names, values, strict=True)}
            for values in combinations]  # fmt: skip


def statuses(world: World, template: str, name: str) -> set[int]:
    """What a persona is answered at all values of an address; one of them asks as htmx does and by HEAD too."""
    client, found = world.clients[name], set()
    for path in paths(template, world.taught):
        found.add(client.get(path).status_code)
        if name == "sam":
            found |= {client.get(path, HTTP_HX_REQUEST="true").status_code, client.head(path).status_code}
    return found


@pytest.mark.ignore_template_errors  # the admin's own templates have some
@pytest.mark.parametrize("template", sorted(ADDRESSES))
def test_reading_changes_no_row(template: str, world: World) -> None:
    unknown = set(ADDRESSES[template]) - set(world.taught)
    if unknown:
        pytest.fail(f"/{template} has parameters that are not known here: teach `World` a real value for {unknown}")
    before = digests()
    for name in world.clients:
        found = statuses(world, template, name)
        assert 500 not in found, f"GET /{template} as {name} failed"
        if name == "admin" and template not in LEADS_NOWHERE:
            assert 404 not in found, f"GET /{template} found nothing: the values that it was taught are not real"
    after = digests()
    wrote = {table for table in before if before[table] != after.get(table)}
    assert not wrote, f"GET /{template} wrote to {wrote}"


def test_the_digests_see_a_write(world: World) -> None:
    before = digests()
    Mission.objects.filter(uid=world.taught["uid"][0]).update(priority=9)
    assert {table for table, digest in digests().items() if digest != before[table]} == {"missions_mission"}


def test_the_walk_sees_pages_api_and_admin() -> None:
    assert {"queue/", "missions/%(uid)s/", "api/v1/missions/%(uid)s/journal", "admin/auth/user/"} <= set(ADDRESSES)
