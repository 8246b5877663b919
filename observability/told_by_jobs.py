"""The words for what an isolated job did: how it ended, and what it reached or tried to. Pure; see `projections`."""

from __future__ import annotations

from collections import Counter
from typing import Any

from observability.wording import clean

Json = dict[str, Any]
KILLED = {
    "wall": "It took longer than it may.", "memory": "It took more memory than it may.",
    "output": "It wrote more than it may.", "cancelled": "It was cut off.",
}  # fmt: skip
PLACES_MOST = 5


def is_job(payload: Json) -> bool:
    """Whether the entry is of a tool that runs programs in isolation."""
    return str(payload.get("tool") or "").startswith("sandbox.") and isinstance(payload.get("result"), dict)


def how(payload: Json) -> str:
    """How the job ended and what it reached, as sentences; empty where there is nothing to say."""
    result: Json = payload["result"]
    code, killed = result.get("exit_code"), KILLED.get(str(result.get("killed_for") or ""), "")
    ended = killed or (f"It ended with exit code {code}." if isinstance(code, int) and code else "")
    left = result.get("left_out")
    lost = f"Not kept of its files: {len(left)}." if isinstance(left, list) and left else ""
    return " ".join(filter(None, (ended, _reached(result.get("egress")), lost)))


def _reached(egress: Any) -> str:
    attempts = [one for one in egress if isinstance(one, dict)] if isinstance(egress, list) else []
    up, down, refused = Counter[str](), Counter[str](), Counter[str]()
    for one in attempts:
        place = clean(f"{one.get('host')}:{one.get('port')}" if one.get("port") else one.get("host") or "more", 200)
        if one.get("allowed"):
            up[place] += int(one.get("bytes_up") or 0)
            down[place] += int(one.get("bytes_down") or 0)
        else:
            refused[place] += 1
    reached = [f"{place} ({_size(up[place])} sent, {_size(down[place])} received)" for place in up]
    turned = [f"{place} ({count} times)" if count > 1 else place for place, count in refused.items()]
    return " ".join(filter(None, (_listed("Reached", reached), _listed("Refused:", turned))))


def _listed(what: str, places: list[str]) -> str:
    more = len(places) - PLACES_MOST
    tail = f" and {more} more" if more > 0 else ""
    return f"{what} {', '.join(places[:PLACES_MOST])}{tail}." if places else ""


def _size(count: int) -> str:
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.1f} kB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MB"
