"""The life of a policy version: drafted, submitted, decided on, put in force, restored.

Each verb owns its transaction, checks the right of who asks, and records what it did in the policy's trail. A version's
rules never change; a change of what binds is a decision of other people (approvals/policies/changes.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from django.contrib.auth.models import User
from django.db import transaction

from approvals import resolution
from approvals.models import Decision, DecisionState, Mode, Policy, PolicyVersion, VersionState
from approvals.policies import changes, document, lint, modes, rights, touching, trail, versions
from approvals.policies.changes import Wish
from approvals.policies.document import Document, InvalidPolicy, Problem
from approvals.policies.lint import Finding, Severity
from approvals.policies.modes import Modes
from approvals.policies.touching import Touched
from approvals.policies.trail import Via
from missions.engine.clock import database_now
from missions.errors import StandfastError

Rules = list[dict[str, Any]]
LATEST: Final = dt.timedelta(days=366)
NOTE_CHARACTERS: Final = 4000


class WrongState(StandfastError):
    """The version or policy is not in a state in which this can be done. Facts: `state`."""

    code = "wrong_state"


class Outdated(StandfastError):
    """Somebody else has saved a newer draft over the one that you edited; nothing was saved. Facts: `newer`."""

    code = "draft_outdated"


def save_draft(name: str, rules: Rules, *, by: User, base: PolicyVersion | None = None, via: str = "") -> PolicyVersion:
    """Keep the rules as a new draft of the policy, which is made where there is none of this name.

    `base` is the version that was edited: a draft is replaced (retired) by its successor, and its editors stay editors
    of the new one. The rules of `base`, or without one of the newest draft, make no new version. Raises Forbidden,
    InvalidPolicy (every problem, errors of the lint too), Outdated (somebody has replaced the draft meanwhile).
    """
    rights.demand(by)
    written = document.check({"name": name, "rules": rules})
    refuse_errors(lint.lint(written.written), name)
    with transaction.atomic():
        return _saved(versions.opened(written.name), written, base, Via(by=by, through=via))


def refuse_errors(findings: list[Finding], source: str) -> None:
    """Raises InvalidPolicy with the findings that are errors, where there are some."""
    errors = [one for one in findings if one.severity is Severity.ERROR]
    if errors:
        raise InvalidPolicy([
            Problem(source=source, rule=one.rule, field=one.field, message=one.message) for one in errors
        ])


def _saved(policy: Policy, written: Document, base: PolicyVersion | None, how: Via) -> PolicyVersion:
    """The draft. The policy's row is held, so that of two successors of one draft the second is refused."""
    if base is not None:
        if base.policy_id != policy.pk:
            raise WrongState(f"{base} is a version of another policy.", state=base.state)
        base.refresh_from_db(fields=["state"])
        if base.state == VersionState.RETIRED and base.activated_at is None:
            newer = policy.versions.filter(base=base).order_by("-number").first()
            told = f" {newer} took its place." if newer else ""
            raise Outdated(f"{base} is no draft any more.{told}", newer=newer.number if newer else None)
    same = base or policy.versions.filter(state=VersionState.DRAFT).order_by("-number").first()
    if same is not None and same.digest == written.digest and same.state == VersionState.DRAFT:
        return same
    made = versions.make(policy, written, how, base=base or versions.active(policy))
    if base is not None and base.state == VersionState.DRAFT:
        base.state = VersionState.RETIRED
        base.save(update_fields=["state"])
        trail.record(policy, "replaced", how, version=base, newer=made.number)
    return made


def submit(
    version: PolicyVersion, *, by: User, note: str = "", activate_at: dt.datetime | None = None, via: str = ""
) -> Decision:
    """Ask other people to put a draft in force, at once or at a time. Submitted again, it answers the open decision.

    Raises Forbidden, WrongState, InvalidPolicy (also errors of the lint), ChangeDenied.
    """
    rights.demand(by)
    findings = lint.lint(document.check({"name": version.policy.name, "rules": version.rules}).written)
    refuse_errors(findings, str(version))
    found = touching.touched(version, touching.AT_SUBMISSION)
    lines = {"findings": _listed(findings), "touches": _touched_in_words(found)}
    with transaction.atomic():
        policy = versions.locked(version.policy_id)
        version.refresh_from_db(fields=["state"])
        wish = Wish(version=version, activate_at=activate_at, note=_note(note), lines=_said(lines))
        asked = changes.open_for(policy, wish) if version.state == VersionState.IN_REVIEW else None
        if asked is not None:
            return asked
        _refuse_unless_draft(version)
        _refuse_odd_time(activate_at)
        version.state = VersionState.IN_REVIEW
        version.save(update_fields=["state"])
        trail.record(policy, "submitted", Via(by=by, through=via), version=version, why=note)
        return changes.ask(policy, wish, by)


def _note(note: str) -> str:
    if "\x00" in note or len(note) > NOTE_CHARACTERS:
        raise WrongState(f"A note has at most {NOTE_CHARACTERS:,} characters and no NUL.")
    return note.strip()


def _refuse_unless_draft(version: PolicyVersion) -> None:
    if version.state != VersionState.DRAFT:
        raise WrongState(
            f"{version} is {version.get_state_display().lower()}; only a draft can be submitted.", state=version.state
        )


def _refuse_odd_time(activate_at: dt.datetime | None) -> None:
    now = database_now()
    if activate_at is not None and not now < activate_at <= now + LATEST:
        raise WrongState("The time of the activation has to come, within 366 days.")


def _listed(findings: list[Finding]) -> str:
    return changes.shown([f"{one.rule or 'the table'}: {one.message}" for one in findings])


def _touched_in_words(found: Touched) -> str:
    decisions = found.decisions
    told = [f"{one.pk}: {one.sentence}" for one in touching.shown_to(None, decisions)]
    others = len(decisions) - len(told)
    hidden = [f"{others} of missions that not everybody may see."] if others else []
    if not decisions and not found.is_whole:
        return f"None of the {touching.AT_SUBMISSION:,} decisions that have been open longest; no other was looked at."
    return f"{found.count} open decisions:\n{changes.shown([*hidden, *told])}" if decisions else ""


def _said(lines: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in lines.items() if text}


def withdraw(version: PolicyVersion, *, by: User, why: str = "", via: str = "") -> PolicyVersion:
    """Take a version out of review, or out of its schedule: a draft again. Raises Forbidden, WrongState."""
    rights.demand(by)
    said = _note(why) or "Its author withdrew it."
    with transaction.atomic():
        change = version.changes.order_by("-pk").first()
        decision = resolution.locked(change.decision_id) if change else None  # before the policy's row
        policy = versions.locked(version.policy_id)
        version.refresh_from_db(fields=["state"])
        if decision is None or version.state not in (VersionState.IN_REVIEW, VersionState.SHADOW):
            raise WrongState(f"{version} is {version.get_state_display().lower()}, not in review.", state=version.state)
        trail.record(policy, "withdrawn", Via(by=by, through=via), version=version, decision=decision, why=said)
        if decision.is_open:
            resolution.withdraw(decision, said)
        version.state = VersionState.DRAFT
        version.save(update_fields=["state"])
    return version


def restore(version: PolicyVersion, *, by: User, via: str = "") -> PolicyVersion:
    """A new draft with the rules of an older version. Raises Forbidden, WrongState (it is in force), InvalidPolicy."""
    rights.demand(by)
    written = document.check({"name": version.policy.name, "rules": version.rules})
    with transaction.atomic():
        policy = versions.locked(version.policy_id)
        in_force = versions.active(policy)
        if in_force is not None and in_force.digest == version.digest:
            raise WrongState(f"{in_force} has these rules, and it is in force.", state=in_force.state)
        newest = policy.versions.order_by("-number").first()
        if newest is not None and newest.state == VersionState.DRAFT and newest.digest == version.digest:
            return newest
        return versions.make(policy, written, Via(by=by, through=via), base=version, restores=version.number)


def set_mode(
    policy: Policy, mode: Mode | None, *, by: User, scope: Mapping[str, str] | None = None, reason: str = "",
    via: str = "",
) -> Decision | None:
    """Ask other people to change how far a policy binds: as a whole, or in a scope (mission_type, tool, agent; globs).

    None for the mode of a scope takes its row away. Where nothing of the policy is in force, the mode changes at once
    and None is returned. Raises Forbidden, WrongState (it is so already, or the scope can not be), ChangeDenied.
    """
    rights.demand(by)
    where = _scope(mode, scope)
    with transaction.atomic():
        policy = versions.locked(policy.pk)
        before = Modes.of(policy.mode, policy.modes)
        after = before.changed(mode, where)
        if after == before or len(after.rows) > modes.MOST_ROWS:
            raise WrongState("The policy has this mode already." if after == before else "There are too many scopes.")
        how = Via(by=by, through=via)
        if versions.active(policy) is None:
            versions.keep_modes(policy, after, how, why_now="nothing of it is in force")
            return None
        change = {"mode": str(mode) if mode else None, "scope": where}
        wish = Wish(mode_change=change, note=_note(reason))
        return changes.open_for(policy, wish) or changes.ask(policy, wish, by)


def _scope(mode: Mode | None, scope: Mapping[str, str] | None) -> dict[str, Any] | None:
    if scope is None and mode is None:
        raise WrongState("A policy as a whole has to have a mode.")
    if scope is None:
        return None
    if faults := modes.faults(scope):
        raise WrongState(" ".join(faults))
    return modes.scope_of(scope)


def touched(version: PolicyVersion) -> Touched:
    """The open decisions about actions that would be ruled on differently, were this version in force."""
    return touching.touched(version)


def attach_replay(version: PolicyVersion, summary: dict[str, Any], *, by: User | None = None, via: str = "") -> None:
    """Keep what a replay on history said: `loosens` (true: it asks for the higher tier), `load` (for people).

    A decision that is open and was not asked as a loosening is asked anew where the replay found one. Own transaction.
    """
    with transaction.atomic():
        change = version.changes.select_related("policy").order_by("-pk").first()
        decision = resolution.locked(change.decision_id) if change else None
        policy = versions.locked(version.policy_id)
        known = bool((version.replay or {}).get("loosens"))
        version.replay = summary
        version.save(update_fields=["replay"])
        trail.record(policy, "replayed", Via(by=by, through=via), version=version, facts_of=summary)
        if change is None or decision is None or decision.state != DecisionState.OPEN:
            return
        change.decision, change.version = decision, version
        if summary.get("loosens") and not known and "loosens" not in decision.facts:
            changes.ask_anew(change, policy, "A replay on history found that it loosens the policy.")
        elif summary.get("load"):
            decision.facts = {**decision.facts, "expected_load": summary["load"]}
            decision.save(update_fields=["facts"])
