"""`manage.py policy simulate`: a version, or the policies of a file, replayed on history by a worker.

Starts the mission and follows it; what it found goes to standard output. Whoever may run commands on the host may.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from pydantic import ValidationError

from approvals.models import PolicyVersion, Replay
from approvals.policies import files, versions
from approvals.simulation import starting, wording
from approvals.simulation.windows import Window
from missions.errors import StandfastError
from missions.management.display import Display
from missions.management.following import follow
from missions.models import Kind, Mission

Options = dict[str, Any]


def arguments(parser: argparse.ArgumentParser) -> None:
    """What `policy simulate` takes."""
    parser.add_argument("what", metavar="FILE|NAME", help="a policy file, kept as drafts; or the name of a policy")
    parser.add_argument("--number", type=int, help="of a version of NAME; without it the newest")
    parser.add_argument("--window", type=window, default=Window(), metavar="N|FROM..UNTIL",
                        help="the last N rulings (10000), or a stretch of time, as in 2026-01-01T00:00Z..")  # fmt: skip
    parser.add_argument("--type", default="", dest="mission_type", help="only actions of missions of this type")
    parser.add_argument("--no-wait", action="store_true", help="start it, and do not wait for what it finds")


def window(text: str) -> Window:
    """`5000`, `FROM..`, `..UNTIL` or `FROM..UNTIL`. Raises ArgumentTypeError."""
    begin, dots, end = text.partition("..")
    given = {"from": begin or None, "until": end or None} if dots else {"last": text}
    try:
        return Window.of(given)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise argparse.ArgumentTypeError(f"{text}: {message}") from error


def simulate(display: Display, options: Options, via: str) -> None:
    """Replay each version that is meant, one after the other. Raises CommandError, InvalidPolicy."""
    for version in _versions(options, via):
        replay, _ = _started(version, options)
        display.line(f"Replaying {version} on history: mission {replay.pk}")
        if not options["no_wait"]:
            _follow(display, replay)


def _versions(options: Options, via: str) -> list[PolicyVersion]:
    path = Path(options["what"])
    if path.is_file():
        return [versions.load(policy, via=via).version for policy in files.read(path)]
    rows = PolicyVersion.objects.select_related("policy").filter(policy__name=options["what"]).order_by("-number")
    number = options["number"]
    found = (rows.filter(number=number) if number is not None else rows).first()
    if found is None:
        raise CommandError(f"There is no such file, policy or version: {options['what']}.", returncode=1)
    return [found]


def _started(version: PolicyVersion, options: Options) -> tuple[Replay, bool]:
    try:
        return starting.start(version, options["window"], mission_type=options["mission_type"], via="command")
    except StandfastError as error:
        raise CommandError(str(error), returncode=1) from error


def _follow(display: Display, replay: Replay) -> None:
    mission = Mission.objects.get(uid=replay.pk)
    for entry in follow(mission):
        if entry.kind == Kind.OUTCOME and "rulings" in (entry.payload.get("result") or {}):
            replay.refresh_from_db()
            display.line(f"  {replay.done:,} of {replay.total or 0:,}, {replay.differing:,} differ")
    replay.refresh_from_db()
    if replay.summary is None:
        mission.refresh_from_db()
        outcome = getattr(mission, "outcome", None)
        raise CommandError(f"The replay {mission.state}: {outcome.error if outcome else ''}", returncode=1)
    _tell(display, replay, replay.summary)


def _tell(display: Display, replay: Replay, summary: Options) -> None:
    display.line(f"Of {summary['actions']:,} actions, {summary['differing']:,} would be ruled on otherwise.")
    for text in wording.findings(summary):
        display.line(f"  {text}")
    loosens = f"It loosens: {summary['looser']:,} are ruled on less strictly than by what is in force."
    display.line(loosens if replay.loosens else "It does not loosen what is in force.")
    rows = [
        (load["tier"], *(f"{load['now'][name]} → {load['then'][name]}" for name in ("per_day", "per_hour", "p95_hour")))
        for load in summary["load"]
    ]
    display.table(("TIER", "A DAY", "AN HOUR", "P95 OF HOURS"), rows)
