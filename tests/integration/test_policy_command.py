"""`manage.py policy`: what it prints, what it records, how it exits."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from approvals.management.commands.policy import operating_system_user
from approvals.models import Decision, DecisionState, PolicyVersion, VersionState
from tests.decisions import opened, waiting_mission

GOOD = """
name: refunds
rules:
  - name: big
    scope: {tool: "payments.*"}
    when: double(args.amount) > 500.0
    effect: escalate
    tiers: [{group: supervisors, quorum: 2, sla: 4h, on_expiry: reject}, {group: finance}]
    reason: It is large.
"""
BAD = "name: refunds\nrules: [{name: big, effect: deny, when: 'tool.nmae == 1'}, {name: two, effect: permit}]"


@pytest.fixture
def policy_file(tmp_path):
    def write(text, name="refunds.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def run(*words, **options):
    out = io.StringIO()
    call_command("policy", *words, stdout=out, **options)
    return " ".join(out.getvalue().split())


def test_check_shows_the_rules_and_asks_no_database(policy_file):
    shown = run("check", policy_file(GOOD))
    assert "refunds: valid, 1 rules" in shown
    assert "tool payments.*" in shown
    assert "2 of supervisors, due in 4h, after 4h reject, then 1 of finance" in shown


def test_check_of_a_wrong_file_names_every_problem_and_exits_with_1(policy_file):
    with pytest.raises(CommandError) as refused:
        run("check", policy_file(BAD))
    assert refused.value.returncode == 1
    assert str(refused.value).splitlines() == [
        "refunds.yaml: refunds: rule big: when 1:5: Undefined field 'nmae' not found in struct 'Tool'.",
        "refunds.yaml: refunds: rule two: effect: Input should be 'allow', 'deny' or 'escalate'.",
    ]


@pytest.mark.django_db
def test_load_keeps_a_draft(policy_file):
    assert "refunds v1 is kept as a draft. It binds nothing until it is activated." in run("load", policy_file(GOOD))
    assert PolicyVersion.objects.get().state == VersionState.DRAFT
    assert "refunds v1 holds these rules already (draft); no new version." in run("load", policy_file(GOOD))


@pytest.mark.django_db
def test_activation_is_recorded_as_a_bypass_by_the_operating_system_user(policy_file, monkeypatch):
    monkeypatch.setenv("USER", "somebody-else")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    said = run("load", policy_file(GOOD), "--activate")
    version = PolicyVersion.objects.get()
    assert version.created_via == f"policy load --activate by {operating_system_user()}"
    assert "somebody-else" not in version.created_via
    assert (version.state, version.created_by) == (VersionState.ACTIVE, None)
    assert "refunds v1 is in force" in said
    assert "is in force already; no new version." in run("load", policy_file(GOOD), "--activate")
    changed = policy_file(GOOD.replace("500.0", "400.0"))
    assert "refunds v2 is in force, in the place of v1" in run("load", changed, "--activate")


@pytest.mark.django_db
def test_one_wrong_policy_keeps_the_whole_file_out(policy_file):
    text = f"- {GOOD.strip()}\n- {BAD}".replace("\n", "\n  ").replace("\n  - name: refunds\n", "\n- name: other\n")
    with pytest.raises(CommandError):
        run("load", policy_file(text), "--activate")
    assert not PolicyVersion.objects.exists()


@pytest.mark.django_db
def test_activation_lists_the_open_decisions_that_it_touches(policy_file):
    run("load", policy_file(GOOD), "--activate")
    touched, other = opened(waiting_mission()), opened(waiting_mission())
    Decision.objects.filter(pk=other.pk).update(policy_version="my-refunds v1")
    settled = opened(waiting_mission())
    Decision.objects.filter(pk=settled.pk).update(state=DecisionState.WITHDRAWN)
    said = run("load", policy_file(GOOD.replace("500.0", "400.0")), "--activate")
    assert "1 open decisions were asked under refunds" in said
    assert str(touched.pk) in said
    assert str(other.pk) not in said


@pytest.mark.django_db
def test_quiet_loading_prints_nothing(policy_file):
    assert run("load", policy_file(GOOD), "--activate", verbosity=0) == ""
    assert PolicyVersion.objects.get().state == VersionState.ACTIVE


@pytest.mark.django_db
def test_list_and_show_tell_what_is_in_force(policy_file):
    assert "No policies: reads are allowed, all else is denied." in run("list")
    run("load", policy_file(GOOD), "--activate")
    run("load", policy_file(GOOD.replace("500.0", "400.0")))
    assert "refunds enforce v1 1 " in run("list")
    assert run("list").endswith(" 1")
    assert "double(args.amount) > 500.0" in run("show", "refunds")
    newer = run("show", "refunds", "--number", "2")
    assert "double(args.amount) > 400.0" in newer
    assert "State draft" in newer


@pytest.mark.django_db
def test_showing_what_is_not_there_exits_with_1():
    with pytest.raises(CommandError) as refused:
        run("show", "nothing")
    assert refused.value.returncode == 1


# -- changes ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_exported_version_is_loaded_as_the_same(policy_file, sam, fiona):
    run("load", policy_file(GOOD), "--activate")
    out = io.StringIO()
    call_command("policy", "export", "refunds", stdout=out)
    assert "holds these rules already" in run("load", policy_file(out.getvalue()))
    assert PolicyVersion.objects.count() == 1


@pytest.mark.django_db
def test_a_difference_says_whether_it_loosens(policy_file):
    run("load", policy_file(GOOD), "--activate")
    run("load", policy_file(GOOD.replace("500.0", "900.0")))
    said = run("diff", "refunds")
    assert "From refunds v1 (active) to refunds v2 (draft):" in said
    assert "big: when was double(args.amount) > 500.0 and is double(args.amount) > 900.0." in said
    assert "It loosens the policy: big asked people where no single rule asks any more." in said
    assert "Nothing changes. It loosens nothing." in run("diff", "refunds", "1", "1")


@pytest.mark.django_db
def test_a_draft_is_submitted_in_the_name_of_a_user(policy_file, paula, sam, fiona, person):
    for name in ("more", "members"):
        person(name, "supervisors")
    run("load", policy_file(GOOD), "--activate")
    run("load", policy_file(GOOD.replace("quorum: 2", "quorum: 3")))
    said = run("submit", "refunds", "--as", "paula", "--note", "As agreed.")
    decision = Decision.objects.get()
    assert said == f"Put refunds v2 in force in the place of v1. Asked: 1 of policy-admins. Decision {decision.pk}."
    assert (decision.requested_by, decision.facts["note"]) == (paula, "As agreed.")


@pytest.mark.django_db
@pytest.mark.parametrize(("user", "why"), [("sam", "Only policy admins"), ("nobody", "There is no active user")])
def test_who_may_not_submit_is_refused(policy_file, sam, fiona, user, why, person):
    person("more", "supervisors")
    run("load", policy_file(GOOD))
    with pytest.raises(CommandError, match=why) as refused:
        run("submit", "refunds", "--as", user)
    assert refused.value.returncode == 1
    assert not Decision.objects.exists()


@pytest.mark.django_db
def test_a_time_without_an_offset_is_a_wrong_use(policy_file):
    with pytest.raises(CommandError):
        run("submit", "refunds", "--as", "paula", "--at", "2030-01-01T00:00")


def test_check_tells_what_is_suspicious(policy_file):
    text = "name: x\nrules: [{name: a, effect: deny}, {name: b, effect: allow, when: args.x > 3 && args.x < 2}]"
    said = run("check", policy_file(text))
    assert "warning b when No value that it compares with makes it true." in said
    assert "warning b effect It never decides anything: a denies wherever it applies." in said


@pytest.mark.django_db
def test_load_tells_of_groups_that_are_not_there(policy_file):
    assert "error big tiers[0].group There is no group supervisors." in run("load", policy_file(GOOD))
