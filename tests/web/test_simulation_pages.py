"""The pages that try a version, start its replay and show what it found; without a browser."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse

from approvals.models import Policy, Replay, VersionState
from approvals.simulation import starting
from approvals.simulation.windows import Window
from missions import visibility
from missions.authoring import ToolCall, tool
from missions.engine import codec
from missions.models import Mission
from tests import parcels, replays
from tests.policies import row
from tests.web.visits import get, signed_in

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>\u202e"


@tool(name="paged.refund", effect="write")
async def refund(call: ToolCall, amount: str) -> None:
    """Refund"""


def try_url(number: int = 1) -> str:
    return reverse("policy-try", args=["refunds", number])


def replay_url(number: int = 1) -> str:
    return reverse("policy-replay", args=["refunds", number])


def typed(user: User, url: str = "", **fields: str) -> Any:
    return signed_in(user).post(url or try_url(), {"tool": "paged.refund", "args": '{"amount": "750.00"}', **fields})


def test_an_action_that_is_typed_is_ruled_on_rule_by_rule(audrey: User) -> None:
    replays.draft(
        row("small", "allow", "double(args.amount) < 10.0"), row("odd", "deny", "args.nothing == true"),
        row("other", "deny", scope={"tool": "elsewhere"}),
    )  # fmt: skip
    html = typed(audrey).content.decode()
    for words in ("Denied", "double(args.amount) &lt; 10.0</code> is false", "Error, fires", "Not in scope"):
        assert words in html
    assert not Mission.objects.exists()


def test_what_does_not_fit_is_shown_beside_its_field_and_kept(audrey: User) -> None:
    replays.draft(row("all", "allow"))
    for args, words in (
        ("[1]", "object"), ('{"amount": 5}', "args.amount"), ("{", "JSON"), (HOSTILE, "JSON"), ("", "required"),
        ('{"amount": NaN}', ""), ("{" + '"a":{' * 100, ""),
    ):  # fmt: skip
        answer = typed(audrey, args=args)
        assert answer.status_code == 422
        html = answer.content.decode()
        assert words in html and 'aria-invalid="true"' in html and "<script>alert" not in html
    assert typed(audrey, mission="nonsense").status_code == 422
    assert typed(audrey, mission=str(uuid.uuid4())).status_code == 422
    assert typed(audrey, args='{"amount": "' + "9" * 100_000 + '"}').status_code == 200


def test_a_past_action_is_picked_and_tried(audrey: User) -> None:
    replays.draft(row("all", "allow"))
    run = replays.mission(title=f"For {HOSTILE}")
    entry = replays.ruled(run, "deny", HOSTILE)
    link = f"{try_url()}?mission={run.uid}&amp;seq={entry.seq}"
    listed = get(audrey, try_url())
    assert link in listed and "<script>alert" not in listed
    html = get(audrey, link.replace("&amp;", "&"))
    assert "Allowed" in html and "<script>alert" not in html
    assert signed_in(audrey).get(f"{try_url()}?mission={run.uid}&seq=1").status_code == 422
    for nonsense in (f"?mission={uuid.uuid4()}&seq=1", "?mission=x&seq=1", f"?mission={run.uid}&seq=x"):
        assert signed_in(audrey).get(try_url() + nonsense).status_code == 404


def test_a_version_that_can_not_be_read_shows_where(audrey: User) -> None:
    rules = [{"name": HOSTILE, "effect": "deny", "when": "true &&\n  args.amount >"}]
    policy = Policy.objects.create(name="refunds")
    policy.versions.create(number=1, state=VersionState.DRAFT, rules=rules, digest=codec.digest_of(rules))
    answer = typed(audrey)
    assert answer.status_code == 422
    assert "line 2, column" in answer.content.decode()
    assert "<script>alert" not in answer.content.decode()


def test_a_policy_admin_starts_one_replay_a_form(paula: User) -> None:
    replays.draft(row("all", "allow"))
    client = signed_in(paula)
    sent = {"last": "50", "once": "f" * 32}
    first, again = client.post(replay_url(), sent), client.post(replay_url(), sent)
    replay = Replay.objects.get()
    assert first.url == again.url == reverse("replay", args=[replay.pk])
    assert (first.status_code, replay.window, replay.started_by) == (302, {"last": 50}, paula)
    assert "Waits for a worker" in get(paula, first.url)
    changed = client.post(replay_url(), {"last": "60", "once": "f" * 32})
    assert changed.status_code == 409
    assert Mission.objects.count() == 1


def test_windows_that_make_no_sense_are_shown_and_start_nothing(paula: User) -> None:
    replays.draft(row("all", "allow"))
    for sent in ({"since": "2026-02-01T00:00:00", "until": "2026-01-01T00:00:00"}, {"last": "-1"}, {"last": "x"},
                 {"last": "5", "since": "2026-02-01T00:00:00"}, {"until": "soon"}):  # fmt: skip
        answer = signed_in(paula).post(replay_url(), {"once": "x", **sent})
        assert answer.status_code == 422
        assert 'aria-invalid="true"' in answer.content.decode()
    assert not Mission.objects.exists()


def test_others_read_and_do_not_start(audrey: User, outsider: User) -> None:
    version = replays.draft(row("all", "allow"))
    replay = replays.replayed(version)
    pages = (try_url(), replay_url(), reverse("replay", args=[replay.pk]))
    for page in pages:
        assert get(audrey, page)
        assert signed_in(outsider).get(page).status_code == 404
    assert signed_in(audrey).post(replay_url(), {"once": "x"}).status_code == 403
    assert signed_in(outsider).post(replay_url(), {"once": "x"}).status_code == 404
    assert "Only policy admins" in get(audrey, replay_url())
    assert not Mission.objects.exists()
    for unknown in (try_url(9), replay_url(9), reverse("replay", args=[uuid.uuid4()])):
        assert signed_in(audrey).get(unknown).status_code == 404


def findings(count: int = 3) -> tuple[Replay, Mission]:
    """A replay that would have allowed what people rejected."""
    replays.in_force(replays.over("0.0"))
    run = replays.mission(title=HOSTILE)
    for number in range(count):
        replays.asked(run, state="rejected" if number % 2 == 0 else "approved", path=f"a#{number}")
    return replays.replayed(replays.draft(replays.allowed())), run


@pytest.mark.django_db(transaction=True)  # pages show what is committed
def test_findings_are_told_in_the_words_of_reviewers_and_rows_open_the_mission_at_the_entry(audrey: User) -> None:
    replay, run = findings()
    html = get(audrey, reverse("replay", args=[replay.pk]))
    for words in ("It would have allowed 2 that people rejected.", "3 that people were asked about", "Loosens",
                  "supervisors", "Asked → allowed"):  # fmt: skip
        assert words in html
    row = replay.differences.first()
    assert row is not None
    link = f"{reverse('mission', args=[run.uid])}?view=log&at={row.seq}"
    assert link.replace("&", "&amp;") in html
    answer = signed_in(audrey).get(link)
    assert answer.status_code == 302
    anchor = answer.url.partition("#")[2]
    assert f'id="{anchor}"' in get(audrey, answer.url)


def test_rows_come_page_by_page_and_by_kind(audrey: User) -> None:
    replay, _ = findings(60)
    url = reverse("replay", args=[replay.pk])
    first = get(audrey, url)
    assert first.count('id="difference-') == 50
    [following] = re.findall(r"\?cursor=[\w-]+", first)
    assert get(audrey, url + following).count('id="difference-') == 10
    assert get(audrey, f"{url}?change=allow_deny").count('id="difference-') == 0
    assert signed_in(audrey).get(f"{url}?cursor=nonsense").status_code == 404
    assert get(audrey, url, HTTP_HX_REQUEST="true").count("<html") == 0


def test_a_reader_sees_rows_of_missions_that_they_may_see(person: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    replay, run = findings()
    reader = person("rita", "auditors")
    monkeypatch.setattr(visibility, "SEE_ALL", frozenset({"operators"}))
    html = get(reader, reverse("replay", args=[replay.pk]))
    assert 'id="difference-' not in html and "There is nothing here that you may see" in html
    reader.groups.add(Group.objects.get_or_create(name="operators")[0])
    assert 'id="difference-' in get(reader, reverse("replay", args=[replay.pk]))
    assert run.pk


def test_a_replay_whose_mission_failed_says_so(paula: User) -> None:
    version = replays.draft(row("all", "allow"))
    replay, _ = starting.start(version, Window(), by=paula, via="console")
    parcels.fail(Mission.objects.get(uid=replay.pk), HOSTILE)
    html = get(paula, reverse("replay", args=[replay.pk]))
    assert "ended before it had seen everything" in html and "<script>alert" not in html
