"""`manage.py policy`: policies as files, and what is in force (docs/governance.md).

Exit status: 0 done, 1 refused, 2 wrong usage. `check` reads the file alone and asks no database.
"""

from __future__ import annotations

import argparse
import os
import pwd
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count, Prefetch, Q

from approvals.management import policy_changes, simulating
from approvals.models import Decision, DecisionState, Policy, PolicyVersion, VersionState
from approvals.policies import document, durations, files, lint, versions
from approvals.policies.approvers import TierRule
from approvals.policies.document import Document, InvalidPolicy
from approvals.policies.rules import Rule, Scope
from missions.management.display import Display

HEADINGS = ("RULE", "EFFECT", "SCOPE", "WHEN", "TIERS", "REASON")
Options = dict[str, Any]


class Command(BaseCommand):
    """Check, load, show and compare policies, and ask for a change of them."""

    help = "Check, load and show governance policies."

    def add_arguments(self, parser: CommandParser) -> None:
        """One sub-command a verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        check = verbs.add_parser("check", help="check a policy file and show its rules")
        load = verbs.add_parser("load", help="keep the policies of a file as drafts")
        load.add_argument("--activate", action="store_true", help="put them in force at once, past the review")
        for one in (check, load):
            one.add_argument("file", type=_readable, metavar="FILE", help="YAML, or JSON where its name ends in .json")
        verbs.add_parser("list", help="list policies and what is in force")
        show = verbs.add_parser("show", help="show the rules of a policy")
        export = verbs.add_parser("export", help="print a version as a policy file")
        for one in (show, export):
            one.add_argument("name", metavar="NAME")
            one.add_argument("--number", type=int, help="of a version; without it the active one, else the newest")
        _add_changes(verbs)
        simulating.arguments(verbs.add_parser("simulate", help="replay a version on history, and say what differs"))

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb. Raises CommandError with the exit status."""
        display = Display(self.stdout, as_json=False)
        try:
            VERBS[options["verb"]](display, options)
        except InvalidPolicy as error:
            raise CommandError(str(error), returncode=1) from error


def _add_changes(verbs: Any) -> None:
    """The sub-commands about a change."""
    diff = verbs.add_parser("diff", help="compare two versions of a policy")
    diff.add_argument("name", metavar="NAME")
    diff.add_argument("old", metavar="FROM", type=int, nargs="?", help="without it the active one")
    diff.add_argument("new", metavar="TO", type=int, nargs="?", help="without it the newest in review, else draft")
    submit = verbs.add_parser("submit", help="ask other people to put a draft in force")
    submit.add_argument("name", metavar="NAME")
    submit.add_argument("--number", type=int, help="of a draft; without it the newest")
    submit.add_argument("--as", dest="user", required=True, metavar="USER", help="who asks, and then has no vote")
    submit.add_argument("--note", default="", help="for those who decide")
    submit.add_argument("--at", type=policy_changes.moment, metavar="TIME", help="not before this: 2026-03-02T08:00Z")


def _submit(display: Display, options: Options) -> None:
    via = f"policy submit by {operating_system_user()}"
    policy_changes.submit(display, {**options, "via": via})


def _readable(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


def check(display: Display, options: Options) -> None:
    """Check a file and show its rules; its problems, all of them, are the error."""
    for policy in files.read(options["file"]):
        display.line(f"{policy.name}: valid, {len(policy.rules)} rules, mode {policy.mode or 'as it is, else enforce'}")
        display.table(HEADINGS, (_row(rule) for rule in policy.rules))
        policy_changes.show_findings(display, policy_changes.suspicions(policy.written))


def load(display: Display, options: Options) -> None:
    """Keep drafts of all policies of a file, or put all in force. A problem in one keeps all of them out."""
    quiet, activate = options["verbosity"] == 0, options["activate"]
    via = f"policy load{' --activate' * activate} by {operating_system_user()}"
    for policy in files.read(options["file"]):
        if activate and not quiet:
            _tell_touched(display, policy)
        loaded = versions.load(policy, activate=activate, via=via)
        if not quiet:
            display.line(_told(loaded, activate))
            policy_changes.show_findings(display, lint.lint(policy.written))


def _told(loaded: versions.Loaded, activate: bool) -> str:
    name, mode = str(loaded.version), f" Its mode is {loaded.mode} now." if loaded.mode else ""
    if loaded.activated:
        before = f", in the place of v{loaded.retired.number}" if loaded.retired else ""
        return f"{name} is in force{before}: past the review, recorded as {loaded.version.created_via!r}.{mode}"
    if loaded.created:
        return f"{name} is kept as a draft. It binds nothing until it is activated."
    same = "is in force already" if activate else f"holds these rules already ({loaded.version.state})"
    return f"{name} {same}; no new version.{mode}"


def _tell_touched(display: Display, policy: Document) -> None:
    """The open decisions that the policy asked for: they are ruled on again before their effects are dispatched."""
    touched = Decision.objects.filter(
        state=DecisionState.OPEN, policy_version__regex=rf"(^|, ){policy.name} v[0-9]"
    ).order_by("opened_at")
    rows = [(one.pk, one.policy_version, one.sentence) for one in touched[:20]]
    if rows:
        display.line(f"{touched.count()} open decisions were asked under {policy.name}; each is ruled on again:")
        display.table(("DECISION", "ASKED UNDER", "SENTENCE"), rows)


def operating_system_user() -> str:
    """Who runs this process, from the operating system and not from the environment."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run under a number that has no name
        return f"uid {os.getuid()}"


def list_policies(display: Display, options: Options) -> None:
    """Each policy with its mode and what is in force."""
    active = Prefetch("versions", PolicyVersion.objects.filter(state=VersionState.ACTIVE), to_attr="active")
    drafts = Count("versions", filter=Q(versions__state=VersionState.DRAFT))
    policies = Policy.objects.prefetch_related(active).annotate(drafts=drafts).order_by("name")
    display.table(
        ("POLICY", "MODE", "IN FORCE", "RULES", "SINCE", "BY", "DRAFTS"),
        (_listed(policy, next(iter(policy.active), None), policy.drafts) for policy in policies),
        empty="No policies: reads are allowed, all else is denied. Load one: manage.py policy load FILE",
    )


def _listed(policy: Policy, version: PolicyVersion | None, drafts: int) -> tuple[Any, ...]:
    if version is None:
        return policy.name, policy.mode, "nothing", "", "", "", drafts
    by = version.created_via or version.created_by
    return policy.name, policy.mode, f"v{version.number}", len(version.rules), version.activated_at, by, drafts


def show(display: Display, options: Options) -> None:
    """The rules of one version. Raises CommandError, InvalidPolicy."""
    version = policy_changes.version_of(options["name"], options["number"], VersionState.ACTIVE)
    display.facts((
        ("Policy", version), ("State", version.state), ("Mode", version.policy.mode), ("Made", version.created_at),
        ("By", version.created_via or version.created_by), ("In force since", version.activated_at),
        ("Digest", version.digest),
    ))  # fmt: skip
    display.table(HEADINGS, (_row(rule) for rule in document.rules_of(version.rules, str(version))))


def _row(rule: Rule) -> tuple[str, ...]:
    when = rule.when.source if rule.when else "always"
    return rule.name, rule.effect, _scope(rule.scope), when, _tiers(rule.tiers), rule.reason


def _scope(scope: Scope) -> str:
    return ", ".join(f"{name} {pattern or 'none'}" for name, pattern in scope.narrow) or "everything"


def _tiers(tiers: Iterable[TierRule]) -> str:
    return ", then ".join(_tier(tier) for tier in tiers)


def _tier(tier: TierRule) -> str:
    due = f", due in {durations.written(tier.sla_seconds)}" if tier.sla_seconds else ""
    end = f", after {durations.written(tier.expires_seconds)} {tier.on_expiry}" if tier.expires_seconds else ""
    return f"{tier.asked}{due}{end}"


def simulate(display: Display, options: Options) -> None:
    """Replay versions on history. Raises CommandError, InvalidPolicy."""
    simulating.simulate(display, options, f"policy simulate by {operating_system_user()}")


VERBS = {
    "check": check, "load": load, "list": list_policies, "show": show, "export": policy_changes.export,
    "diff": policy_changes.diff, "submit": _submit, "simulate": simulate,
}
