"""The people of the permission tests, and the rows that they ask for: open ones, and those of a sealed mission type.

Builds on `World`, which knows a real value for each parameter of an address. A mission type is restricted to a group in
which only the keeper and the keyed reviewer are; everything that tells of its missions bears `MARK` somewhere, which
nobody else may ever be sent.
"""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client

from approvals import comments, votes
from approvals.budgets import asking
from approvals.models import Delivery, Follower, ReplayDifference
from approvals.outbound import events, spreading, webhooks
from approvals.policies import lifecycle
from missions.engine import period_budgets, registry, schedules, starting
from missions.engine.clock import database_now
from missions.models import (
    BudgetAccount,
    BudgetWait,
    Child,
    Dependency,
    EffectState,
    Forked,
    Kind,
    Mission,
    RestrictedScope,
    Restriction,
    WrongMark,
)
from missions.web import tokens
from observability.models import Daily, Stuck
from tests import archive, decisions, parcels, policies, rail, replays
from tests.web.rest import client_of
from tests.web.test_get_changes_nothing import DECIDED, World

MARK = "KEYHOLE-7731"
SEALED, GROUP = "test.sealed", "keyholders"
KEYHOLDERS = {**decisions.SUPERVISORS, "group": GROUP, "quorum": 2}
# Which of the world's people plays whom; in the order of the table's columns.
PERSONAS = {
    "nobody": "nobody", "owner": "outsider", "reviewer": "sam", "operator": "olivia", "auditor": "audrey",
    "policy admin": "paula", "administrator": "admin",
}  # fmt: skip
BARRED = [name for name in PERSONAS if name != "administrator"]  # from what is sealed
KEYED = ("keeper", "keyed reviewer", "administrator")  # who sees it

registry.register(SEALED, 1, "Sealed", parcels.parcel)


class Scene(World):
    """The world, with a mission of the owner's about which the reviewers are asked, and what is sealed."""

    def __init__(self) -> None:
        super().__init__()
        for name, groups in {"nobody": [], "keeper": ["operators", GROUP], "keyed": ["supervisors", GROUP]}.items():
            self.people[name] = User.objects.create_user(name)
            self.people[name].groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
        self.cast = {name: self.people[who] for name, who in PERSONAS.items()}
        self.cast |= {"keeper": self.people["keeper"], "keyed reviewer": self.people["keyed"]}
        self.own = Mission.objects.get(uid=self.taught["uid"][0])
        self.asked = decisions.opened(self.own, path="own#1")
        self.open = {name: values[0] for name, values in self.taught.items()} | {"decision_id": self.asked.pk}
        self.keeper = self.people["keeper"]
        Restriction.objects.create(scope=RestrictedScope.MISSION_TYPE, name=SEALED, group=GROUP)
        self.sealed = self.sealed_rows()
        self.beside()
        self.consoles = {name: Client(raise_request_exception=False) for name in self.cast}
        for name, client in self.consoles.items():
            client.force_login(self.cast[name])
        every = {scope: tuple(one for one in tokens.SCOPES if one != scope) for scope in tokens.SCOPES}
        self.lacking = {scope: tokens.issue(self.people["admin"], scopes=some)[1] for scope, some in every.items()}
        self.having = {scope: tokens.issue(self.people["admin"], scopes=(scope,))[1] for scope in every}
        self.secrets = (MARK, *(str(one) for one in (self.hidden.uid, self.kept_back.pk)))
        self.rests = {name: client_of(user) for name, user in self.cast.items()}

    def told_in(self, answer: Any) -> bool:
        """Whether an answer tells of what is sealed."""
        sent = b"".join(answer) if answer.streaming else answer.content
        return any(secret.encode() in sent for secret in self.secrets)

    def mission(self, title: str = MARK) -> Mission:
        """A mission of the sealed type."""
        given = {"address": f"1 {MARK} Street", "weight": 3}
        return starting.start(SEALED, given, title=title, started_by=self.keeper)[0]

    def sealed_rows(self) -> dict[str, Any]:
        """A mission with all that a mission can have, and one that is archived; by parameter."""
        mission, gone = self.mission(), parcels.complete(self.mission(), summary=MARK)
        args = {"intent": decisions.intent_of(mission, args={"order_id": MARK, "amount": "900.00"})}
        told = {"sentence": f"Open the {MARK}", "evidence": ({"title": MARK},)}
        asked = decisions.opened(mission, KEYHOLDERS, path="a#1", **told, **args)
        votes.cast(asked.pk, self.people["keyed"], "approve", asked.digest, comment=MARK, channel="api")
        comments.add(asked.pk, self.people["keyed"], MARK)
        for state in EffectState:
            parcels.effect(mission, state)
        rail.takeover(mission)
        replays.ruled(mission, "allow", agent=MARK)
        while parcels.append(mission, Kind.DECIDED, {"name": "route", "title": MARK, "proposal": MARK}).seq < DECIDED:
            continue
        WrongMark.objects.create(mission_id=mission.pk, seq=DECIDED, reason=MARK, marked_by="keeper")
        kept = parcels.artifact(mission, f"{MARK}.txt", MARK.encode())
        parcels.append(mission, Kind.OBSERVED, {"text": MARK})
        wanted = {"input": {"address": MARK, "weight": 1}, "cron": "0 3 * * *", "run_as": self.keeper}
        schedule = schedules.create("sealed", type=SEALED, title=MARK, **wanted)
        self.hidden, self.kept_back = mission, asked
        return {
            "uid": mission.uid, "decision_id": asked.pk, "archived_id": archive.leave(gone).uid, "seq": DECIDED,
            "digest": bytes(kept.digest).hex(), "name": schedule.name,
        }  # fmt: skip

    def beside(self) -> None:
        """Rows of other things that tell of the sealed mission."""
        self.relatives()
        self.replay_differences()
        self.figures()
        self.budget()
        self.deliveries()
        asked = lifecycle.save_draft("nightly", [policies.row("all", "deny", "1 == 1")], by=self.people["paula"])
        decision = lifecycle.submit(asked, by=self.people["paula"], note="As agreed.")
        self.taught["decision_id"] += [self.asked.pk, decision.pk]
        self.taught["number"].append(asked.number)

    def relatives(self) -> None:
        """The sealed mission is child, follower and fork of the owner's, and parent and forerunner of another one."""
        child, follower, fork, parent = (self.mission(f"{MARK} {which}") for which in ("child", "after", "fork", "up"))
        told = {"child": str(child.uid), "type": SEALED, "title": "Sealed", "key": None, "on_parent_end": "cancel"}
        parcels.append(self.own, Kind.SPAWNED, told, path="spawn#1")
        Child.objects.create(child_id=child.pk, parent_id=self.own.pk, timeline=1, chapter=1, path="spawn#1")
        Mission.objects.filter(pk=child.pk).update(parent=self.own.pk)
        Dependency.objects.create(mission_id=follower.pk, on_mission_id=self.own.pk, met_at=database_now())
        Forked.objects.create(mission_id=fork.pk, source_id=self.own.pk, source_seq=DECIDED, own_seq=1)
        young = parcels.mission(self.people["outsider"], title="Young")
        Dependency.objects.create(mission_id=young.pk, on_mission_id=self.hidden.pk)
        Mission.objects.filter(pk=young.pk).update(parent=parent.pk)
        self.child = child
        self.taught["uid"].append(young.uid)

    def replay_differences(self) -> None:
        """The finished replay rules otherwise on what the sealed mission did."""
        ReplayDifference.objects.create(
            replay_id=self.taught["replay_id"][0], change="allow_escalate", at=database_now(), title=MARK, reason=MARK,
            mission_id=self.hidden.pk, mission_uid=self.hidden.uid, mission_type=SEALED, seq=2, tool=MARK,
        )

    def figures(self) -> None:
        """A watch has found it, its schedule started it, and its day is counted."""
        Stuck.objects.create(kind="wait", subject=str(self.hidden.uid), mission=self.hidden.uid, detail=MARK)
        Daily.objects.create(day=(database_now().date()), type=SEALED, started=1, verdicts={MARK: 1})

    def budget(self) -> None:
        """It waits for room in a budget, and people are asked."""
        wanted = {"counts": "effects", "amount": Decimal(1), "period": "day", "group": "supervisors"}
        budget = period_budgets.add(name="spare", **wanted)
        account = BudgetAccount.objects.create(budget=budget, starts_at=database_now(), rounds=1, asked=True)
        BudgetWait.objects.create(budget=budget, mission_id=self.hidden.pk, path="a#1", key="k", wants={}, priority=9)
        asking.ask(f"{account.pk}/1", database_now())
        self.taught["decision_id"].append(asking.decision_id(account.pk, 1))

    def deliveries(self) -> None:
        """An operator's webhook has been told of it before it was sealed; one of an administrator's hears of it now."""
        events.emit("mission.completed", mission=self.hidden, sentence=MARK)
        events.emit("decision.opened", decision=self.kept_back)
        hook, _ = webhooks.add(owner=self.people["admin"], name="all", url="https://8.8.8.8/", events=["*"])
        spreading.spread_all()
        told = Delivery.objects.get(webhook=hook, event__kind="mission.completed", event__sentence=MARK)
        self.sealed |= {"webhook_id": hook.pk, "delivery_id": told.pk}
        theirs = {"channel": "webhook", "webhook_id": self.open["webhook_id"], "next_at": database_now()}
        old = Delivery.objects.create(event=told.event, **theirs)
        self.told_before = old.pk
        Follower.objects.create(mission_id=self.hidden.pk, user=self.people["sam"])


UNKNOWN: dict[str, Any] = {
    "uid": uuid.UUID(int=1), "decision_id": uuid.UUID(int=2), "archived_id": uuid.UUID(int=3), "digest": "0" * 64,
    "delivery_id": uuid.UUID(int=4),
}
