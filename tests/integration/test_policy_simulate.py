"""`manage.py policy simulate`: a file or a version, replayed by a worker, told on standard output."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from approvals.models import PolicyVersion, Replay
from missions.models import Mission
from tests import live_worker
from tests.replays import allowed, asked, draft, in_force, mission, over

pytestmark = pytest.mark.django_db(transaction=True)
FILE = """
name: refunds
rules:
  - {name: all, scope: {tool: payments.refund}, effect: allow}
"""


def simulate(*words: str) -> str:
    out = io.StringIO()
    call_command("policy", "simulate", *words, stdout=out)
    return out.getvalue()


@pytest.fixture
def past() -> None:
    """Two rulings that asked people, of which they rejected one."""
    in_force(over("0.0"))
    run = mission()
    Mission.objects.filter(pk=run.pk).update(wake_at=None)
    asked(run, state="rejected", path="a#1")
    asked(run, state="approved", path="a#2")


def test_a_file_is_kept_as_a_draft_and_replayed(past: None, tmp_path: Path) -> None:
    file = tmp_path / "refunds.yaml"
    file.write_text(FILE)
    with live_worker.worker():
        told = simulate(str(file))
    assert "Replaying refunds v2 on history" in told
    assert "Of 2 actions, 2 would be ruled on otherwise." in told
    assert "It would have allowed 1 that people rejected." in told
    assert "It loosens: 2 are ruled on less strictly" in told
    assert "supervisors" in told
    assert PolicyVersion.objects.get(number=2).state == "draft"


def test_a_version_is_replayed_on_a_window_without_waiting(past: None) -> None:
    draft(allowed())
    assert "mission" in simulate("refunds", "--number", "1", "--window", "1", "--no-wait")
    replay = Replay.objects.get()
    assert (replay.version.number, replay.window, replay.summary) == (1, {"last": 1}, None)


@pytest.mark.parametrize("words", [
    ("refunds", "--window", "0"), ("refunds", "--window", "2026-02-01T00:00Z..2026-01-01T00:00Z"),
    ("refunds", "--window", "soon.."), ("nothing",), ("refunds", "--number", "9"),
])  # fmt: skip
def test_what_can_not_be_replayed_starts_nothing(past: None, words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        simulate(*words)
    assert not Replay.objects.exists()
