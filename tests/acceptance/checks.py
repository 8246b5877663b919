"""What must hold of everything that a system has recorded, whatever was killed meanwhile.

Pure functions over `System.facts()` and the payment server's ledger. Each returns what is wrong, so that an empty list
is a pass and a failure shows every case at once.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from observability.rail import Source

Facts = dict[str, Any]
ONCE = ("step", "now", "observed", "sleep", "slept", "await", "signal")  # kinds that a path records once


def _by_mission(facts: Facts) -> dict[int, list[Facts]]:
    entries: dict[int, list[Facts]] = defaultdict(list)
    for entry in facts["entries"]:
        entries[entry["mission_id"]].append(entry)
    return entries


def _more_than_once(things: Iterable[Any]) -> list[Any]:
    return [thing for thing, count in Counter(things).items() if count > 1]


def unsound(facts: Facts) -> list[str]:
    """Whatever must never be found, also while missions are still under way."""
    checks = (unsound_journals, repeated_records, voices_of_the_dead, missing_on_the_rail)
    return [wrong for check in checks for wrong in check(facts)]


def unsound_journals(facts: Facts) -> list[str]:
    """Chains that do not verify, gaps in seq, attempts that fall."""
    wrong = [f"{row['id']}: {row['verified']['reason']}" for row in facts["missions"] if not row["verified"]["ok"]]
    for mission, entries in _by_mission(facts).items():
        if [entry["seq"] for entry in entries] != list(range(1, len(entries) + 1)):
            wrong.append(f"{mission}: seq {[entry['seq'] for entry in entries]}")
        attempts = [entry["attempt"] for entry in entries]
        if attempts != sorted(attempts):
            wrong.append(f"{mission}: attempts {attempts}")
    return wrong


def repeated_records(facts: Facts) -> list[str]:
    """Steps, decisions and effects that were recorded twice, and missions that ended twice."""
    wrong = []
    for mission, entries in _by_mission(facts).items():
        once: list[tuple[object, ...]] = [
            (e["timeline"], e["kind"], e["path"])
            for e in entries if e["kind"] in ONCE and "reads" not in e["payload"]  # evidence may be read many times
        ]
        once += [
            (e["kind"], e["payload"]["decision"], "changed" in e["payload"])  # an approval may be taken back once
            for e in entries if e["kind"] in ("asked", "answered")
        ]
        once += [("intent", e["payload"]["key"]) for e in entries if e["kind"] == "intent"]
        done = [e for e in entries if e["kind"] == "outcome" and e["payload"]["state"] == "done"]
        once += [(e["timeline"], "done", e["path"]) for e in done]
        once += [(e["timeline"], "end", "") for e in entries if e["kind"] in ("completed", "failed", "cancelled")]
        wrong += [f"{mission}: {twice}" for twice in _more_than_once(once)]
    return wrong


def voices_of_the_dead(facts: Facts) -> list[str]:
    """Entries of an attempt that were committed after that attempt was taken over."""
    taken = {(row["mission_id"], row["attempt"]): row["tx"] for row in facts["takeovers"]}
    return [
        f"{entry['mission_id']}:{entry['seq']} {entry['kind']} of attempt {entry['attempt']}"
        for entry in facts["entries"]
        if entry["tx"] >= taken.get((entry["mission_id"], entry["attempt"]), entry["tx"] + 1)
    ]


def still_waiting(facts: Facts, workers: int) -> list[str]:
    """Whatever is not finished: owners, effects, decisions, alarms, signals, workers that nobody has buried."""
    wrong = [f"{m['id']} is {m['state']}, owner {m['owner']}" for m in facts["missions"] if m["owner"] or m["wake_at"]]
    wrong += [f"effect {e['key'][:8]} {e['state']}" for e in facts["effects"] if e["state"] in ("intended", "in_doubt")]
    wrong += [f"{name}: {facts[name]}" for name in ("open_decisions", "due_alarms") if facts[name]]
    taken = {(e["mission_id"], e["payload"]["seq"]) for e in facts["entries"] if e["kind"] == "signal"}
    taken |= {(e["mission_id"], e["payload"]["seq"]) for e in facts["entries"] if e["kind"] == "control"}
    # An answer may have come with the question's upsert, its signal only after that.
    answered = {f"decision:{entry['payload']['decision']}" for entry in facts["entries"] if entry["kind"] == "answered"}
    wrong += [f"{signal['mission_id']}: {signal['name']} was not taken" for signal in facts["signals"]
              if (signal["mission_id"], signal["seq"]) not in taken and signal["name"] not in answered
              and not signal["name"].startswith(("effect:", "permit:", "budget:"))]
    if facts["live_workers"] != workers:
        wrong.append(f"{facts['live_workers']} workers are registered as alive, not {workers}")
    return wrong


def missing_on_the_rail(facts: Facts) -> list[str]:
    """What is not exactly once, in order, on the rail of all and on that of its mission."""
    happened = [(e["tx"], Source.JOURNAL, e["mission_id"], e["seq"]) for e in facts["entries"]]
    happened += [(v["tx"], Source.VOTE, v["mission_id"], v["id"]) for v in facts["votes"]]
    happened += [(t["tx"], Source.TAKEOVER, t["mission_id"], t["id"]) for t in facts["takeovers"]]
    happened += [(r["tx"], Source.RETRACTION, r["mission_id"], r["id"]) for r in facts["retractions"]]
    happened.sort()
    wrong = _differing("all missions", happened, [tuple(item) for item in facts["rail"]])
    for mission, items in facts["rails"].items():
        own = [place for place in happened if place[2] == int(mission)]
        wrong += _differing(f"mission {mission}", own, [tuple(item) for item in items])
    return wrong


def _differing(whose: str, happened: list[Any], shown: list[Any]) -> list[str]:
    if happened == shown:
        return []
    return [f"{whose}: missing {sorted(set(happened) - set(shown))}, twice {_more_than_once(shown)}, "
            f"in order: {shown == sorted(shown)}"]


def repeated_requests(facts: Facts, requests: list[tuple[str, int]], *, retries_count: bool) -> list[str]:
    """Keys that the payment server was asked for more often than the journal declares.

    `requests` are pairs of key and how often it came, before deduplication. Each intent allows for one, and where
    `retries_count`, each declared retry for one more.
    """
    allowed: Counter[str] = Counter()
    for entry in facts["entries"]:
        if entry["kind"] == "intent" or (retries_count and entry["kind"] == "retry"):
            allowed[entry["payload"]["key"]] += 1
    return [f"{key[:8]}: {count} requests, {allowed[key]} declared" for key, count in requests if count > allowed[key]]


def history_of(facts: Facts, uid: str) -> str:
    """A mission's entries, for the message of a failure."""
    mission = next(row for row in facts["missions"] if row["uid"] == uid)
    lines = [
        f"{e['seq']:>3} a{e['attempt']} {e['recorded_at']} {e['kind']:<9} {e['path']} {json.dumps(e['payload'])[:160]}"
        for e in facts["entries"] if e["mission_id"] == mission["id"]
    ]
    return "\n".join([f"{uid} {mission['state']} {mission['outcome__error']}", *lines])
