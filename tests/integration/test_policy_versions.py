"""Versions of a policy: drafts, what is in force, what was, and that none of them ever changes."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from approvals.models import Mode, Policy, PolicyVersion, VersionState
from approvals.policies import document, versions
from tests.policies import row

pytestmark = pytest.mark.django_db


def written(*rows, **fields):
    return document.check({"name": "refunds", "rules": list(rows) or [row("all", "deny")], **fields})


def states():
    return list(PolicyVersion.objects.order_by("number").values_list("number", "state"))


def test_a_draft_binds_nothing():
    loaded = versions.load(written(), via="policy load by ann")
    assert (loaded.created, loaded.activated, loaded.version.created_via) == (True, False, "policy load by ann")
    assert states() == [(1, VersionState.DRAFT)]
    assert versions.in_force().tables == ()


def test_activation_retires_what_was_in_force():
    first = versions.load(written(), activate=True).version
    loaded = versions.load(written(row("all", "allow")), activate=True, via="policy load --activate by ann")
    assert (loaded.activated, loaded.retired) == (True, first)
    assert states() == [(1, VersionState.RETIRED), (2, VersionState.ACTIVE)]
    assert loaded.version.created_via == "policy load --activate by ann"
    assert loaded.version.activated_at is not None
    assert [table.label for table in versions.in_force().tables] == ["refunds v2"]


def test_the_same_rules_make_no_new_version():
    versions.load(written(), activate=True, via="one")
    again = versions.load(written(), activate=True, via="two")
    assert (again.created, again.activated, again.version.created_via) == (False, False, "one")
    assert versions.load(written()).created is False
    assert states() == [(1, VersionState.ACTIVE)]


def test_activating_a_draft_records_the_bypass_in_the_version():
    versions.load(written(), via="policy load by ann")
    loaded = versions.load(written(), activate=True, via="policy load --activate by bob")
    assert (loaded.created, loaded.activated) == (False, True)
    assert PolicyVersion.objects.get().created_via == "policy load --activate by bob"


def test_going_back_to_older_rules_is_a_version_of_its_own():
    for effect in ("deny", "allow", "deny"):
        versions.load(written(row("all", effect)), activate=True)
    assert states() == [(1, VersionState.RETIRED), (2, VersionState.RETIRED), (3, VersionState.ACTIVE)]


def test_the_mode_changes_with_an_activation_only():
    versions.load(written(), activate=True)
    assert versions.load(written(mode="off")).mode is None
    assert Policy.objects.get().mode == Mode.ENFORCE
    assert versions.load(written(mode="off"), activate=True).mode == Mode.OFF
    assert Policy.objects.get().mode == Mode.OFF
    assert versions.load(written(), activate=True).mode is None  # a file that names none keeps it
    assert Policy.objects.get().mode == Mode.OFF


def test_policies_are_in_force_by_name_without_those_that_are_off():
    for name, mode in (("b", "enforce"), ("a", "shadow"), ("c", "off")):
        versions.load(document.check({"name": name, "mode": mode, "rules": [row("all", "deny")]}), activate=True)
    assert [(table.policy, table.enforced) for table in versions.in_force().tables] == [("a", False), ("b", True)]


def test_what_is_in_force_takes_one_query_once_it_is_known(django_assert_num_queries):
    versions.load(written(), activate=True)
    versions.load(document.check({"name": "other", "rules": [row("all", "deny")]}), activate=True)
    known = versions.in_force()
    with django_assert_num_queries(1):
        assert versions.in_force().tables == known.tables


def test_the_time_of_a_ruling_is_the_database_clock(clock):
    versions.load(written(), activate=True)
    clock.advance(days=30)
    assert abs((versions.in_force().now - clock.now()).total_seconds()) < 5


def test_the_rules_of_a_version_can_not_be_changed_or_forgotten():
    version = versions.load(written()).version
    for change in (
        lambda: PolicyVersion.objects.update(rules=[row("all", "allow")]),
        lambda: PolicyVersion.objects.update(digest="0" * 64),
        version.delete,
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()


@pytest.mark.parametrize(
    ("rules", "digest", "message"),
    [
        ([row("all", "allow")], "0" * 64, "The stored rules are not those that were saved: their digest differs."),
        ([row("all", "permit")], None, "rule all: effect: Input should be 'allow', 'deny' or 'escalate'."),
        ("text", None, "rules: The rules are no list."),
    ],
)
def test_a_stored_version_that_can_not_be_read_is_reported(rules, digest, message):
    policy = Policy.objects.create(name="broken")
    fields = {"number": 1, "state": VersionState.ACTIVE, "rules": rules}
    policy.versions.create(digest=digest or versions.codec.digest_of(rules), **fields)
    force = versions.in_force()
    assert force.tables == ()
    assert message in force.unreadable
    Policy.objects.update(mode=Mode.SHADOW)
    assert versions.in_force().unreadable == ""
