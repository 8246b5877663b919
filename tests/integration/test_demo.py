"""Demo data: made once, whole, and found as it is the next time."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from config import demo
from missions.agents import identities, isolation
from missions.models import AgentVersion
from missions.web import access

pytestmark = pytest.mark.django_db


def test_the_demo_has_an_agent_that_reads_and_people_who_may_change_it() -> None:
    made = demo.make()
    assert "agent researcher" in made and "policy goals" in made
    assert demo.make() == []
    assert identities.active("researcher").tools == ("orders.get", "payments.history")
    assert not isolation.standing(AgentVersion.objects.get()).is_demanded
    may = {user.username for user in User.objects.all() if access.may_edit_agents(user)}
    assert may == {"paula", "admin"}
