"""`manage.py schedule`, and what `manage.py mission start` takes of dependencies, priorities and deadlines."""

from __future__ import annotations

import io
import json
import uuid

import pytest
from django.core.management import CommandError, call_command

from missions.models import Dependency, Mission, Schedule
from tests import parcels
from tests.conftest import Clock, Person

pytestmark = pytest.mark.django_db
INPUT = json.dumps(parcels.INPUT)


def run(*words: object) -> str:
    """What a command prints on standard output."""
    out = io.StringIO()
    call_command(*map(str, words), stdout=out)
    return out.getvalue()


def refused(*words: object) -> str:
    """The message of a command that ends with 1."""
    with pytest.raises(CommandError) as error:
        run(*words)
    assert error.value.returncode == 1
    return str(error.value)


def test_a_schedule_is_made_listed_switched_and_deleted(person: Person) -> None:
    olivia = person("olivia")
    said = run(
        "schedule", "create", "nightly", parcels.TYPE, "0 3 * * *", "--input", INPUT, "--timezone", "Europe/Berlin",
        "--missed", "all", "--run-as", "olivia", "--priority", 3,
    )
    made = Schedule.objects.get()
    assert said.startswith("Made. Next: ") and (made.missed, made.run_as, made.priority) == ("all", olivia, 3)
    assert "nightly" in run("schedule", "list") and "enabled" in run("schedule", "list")
    assert len(run("schedule", "next", "nightly", "--count", 3).splitlines()) == 3
    assert run("schedule", "disable", "nightly") == "Disabled.\n"
    assert "Never" in run("schedule", "next", "nightly")
    assert run("schedule", "enable", "nightly").startswith("Enabled. Next: ")
    (row,) = [json.loads(line) for line in run("schedule", "list", "--json").splitlines()]
    assert (row["name"], row["run_as"], len(row["next"])) == ("nightly", "olivia", 5)
    assert run("schedule", "delete", "nightly") == "Deleted.\n" and "No schedules." in run("schedule", "list")


def test_what_is_refused_names_its_fields_and_changes_nothing() -> None:
    said = refused("schedule", "create", "nightly", parcels.TYPE, "* *", "--input", INPUT, "--timezone", "Mars")
    assert "cron: " in said and "timezone: " in said
    assert "no user 'nobody'" in refused("schedule", "create", "a", parcels.TYPE, "0 3 * * *", "--run-as", "nobody")
    for verb in ("enable", "disable", "delete", "next"):
        assert "no schedule 'ghost'" in refused("schedule", verb, "ghost")
    assert not Schedule.objects.exists()


def test_a_mission_starts_after_others_with_a_priority_and_a_deadline(clock: Clock) -> None:
    first = parcels.mission()
    deadline = clock.now().replace(year=clock.now().year + 1)
    run(
        "mission", "start", parcels.TYPE, "--input", INPUT, "--after", first.uid, "--on-failure", "start",
        "--priority", 12, "--deadline", deadline.isoformat(),
    )
    made = Mission.objects.exclude(pk=first.pk).get()
    assert (made.priority, made.deadline_at, made.waits_for) == (12, deadline, f"mission:{first.uid}")
    assert Dependency.objects.get().policy == "start"
    assert "after: " in refused("mission", "start", parcels.TYPE, "--input", INPUT, "--after", uuid.uuid4())
    for wrong in (["--deadline", "tomorrow"], ["--deadline", "2030-01-01T00:00:00"], ["--after", "x"]):
        with pytest.raises(CommandError):
            run("mission", "start", parcels.TYPE, *wrong)
    assert Mission.objects.count() == 2
