"""The verbs of `manage.py policy` that compare, export and ask for a change. What they refuse they raise."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.utils.dateparse import parse_datetime

from approvals.models import PolicyVersion, VersionState
from approvals.policies import comparing, lifecycle, lint, writing
from approvals.policies.lint import Finding
from missions.errors import StandfastError
from missions.management.display import Display
from missions.tools.registry import all_tools

Options = dict[str, Any]


def version_of(name: str, number: int | None, *states: str) -> PolicyVersion:
    """The version of this number; without one the newest in the first of these states that there is, else the newest.

    Raises CommandError.
    """
    rows = PolicyVersion.objects.select_related("policy", "created_by").filter(policy__name=name).order_by("-number")
    if number is not None:
        version = rows.filter(number=number).first()
    else:
        found = (rows.filter(state=state).first() for state in states)
        version = next((one for one in found if one is not None), None) or rows.first()
    if version is None:
        raise CommandError(f"There is no such policy or version: {name}.", returncode=1)
    return version


def show_findings(display: Display, findings: Iterable[Finding]) -> None:
    """What the lint found, where it found something."""
    rows = [(one.severity, one.rule or "the table", one.field, one.message) for one in findings]
    if rows:
        display.table(("FINDING", "RULE", "FIELD", "WHAT"), rows)


def suspicions(rules: list[dict[str, Any]]) -> list[Finding]:
    """What the lint finds without asking the database."""
    return lint.judged(comparing.rows(rules), None, all_tools())


def export(display: Display, options: Options) -> None:
    """Print a version as a policy file. Raises CommandError."""
    version = version_of(options["name"], options["number"], VersionState.ACTIVE)
    display.line(writing.written(version.policy.name, version.rules, version.policy.mode).rstrip())


def diff(display: Display, options: Options) -> None:
    """What one version changes of another, and whether it is looser. Raises CommandError."""
    old = version_of(options["name"], options["old"], VersionState.ACTIVE)
    new = version_of(options["name"], options["new"], VersionState.IN_REVIEW, VersionState.DRAFT)
    comparison = comparing.compare(old.rules, new.rules)
    display.line(f"From {old} ({old.state}) to {new} ({new.state}):")
    for line in comparing.sentences(comparison) or ["Nothing changes."]:
        display.line(f"  {line}")
    display.line("It loosens the policy:" if comparison.loosens else "It loosens nothing.")
    for line in comparison.why:
        display.line(f"  {line}")


def submit(display: Display, options: Options) -> None:
    """Ask other people to put a draft in force, in the name of a user. Raises CommandError."""
    version = version_of(options["name"], options["number"], VersionState.DRAFT)
    author = User.objects.filter(username=options["user"], is_active=True).first()
    if author is None:
        raise CommandError(f"There is no active user {options['user']}.", returncode=1)
    try:
        decision = lifecycle.submit(
            version, by=author, note=options["note"], activate_at=options["at"], via=options["via"]
        )
    except StandfastError as refused:
        raise CommandError(f"Nothing was submitted. {refused}", returncode=1) from refused
    tiers = ", then ".join(f"{tier.quorum} of {tier.label}" for tier in decision.tiers.all())
    display.line(f"{decision.sentence}. Asked: {tiers}. Decision {decision.pk}.")


def moment(text: str) -> dt.datetime:
    """A time with an offset. Raises ValueError."""
    found = parse_datetime(text)
    if found is None or found.tzinfo is None:
        raise ValueError(text)
    return found
