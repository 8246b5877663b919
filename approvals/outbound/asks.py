"""What another system asks: its shape, and whether it can be taken. Reads groups and people; opens nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from django.contrib.auth.models import User

from approvals import queue
from approvals.matching import Approval, match
from approvals.outbound import answer_schema, guard
from approvals.policies import durations, staffing
from missions.engine import codec
from missions.errors import InvalidInput
from missions.governance import Choice, Json

MOST_TIERS, MOST_QUORUM = 5, 20
OPERATORS = {"group": "operators"}  # who answers a question that names nobody
SEAT = frozenset({0})  # each tier from outside has one group, so one kind of seat
Fault = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A decision as a system outside wants it. `action` is empty or {tool?, args, effect_class?}."""

    sentence: str
    action: Json
    evidence: tuple[Json, ...] = ()
    choices: tuple[Choice, ...] = ()
    answers: Json = field(default_factory=dict)  # {form: text or schema, schema?}; empty: consent, or a choice
    tiers: tuple[Json, ...] = ()  # {group, quorum?}
    due_in: str = ""  # as in policies: 4h
    expires_in: str = ""
    on_expiry: str = "reject"
    callback_url: str = ""
    agent: str = ""  # whom the token stands for; nothing that the request says
    source: str = ""  # what the caller calls itself: for people, and for nobody else

    @property
    def tool(self) -> str:
        """What would be called; empty for a question."""
        return str(self.action.get("tool") or "")

    def digest(self) -> str:
        """sha256 over all of it, the agent included: what one may do is no answer to another."""
        told = {
            "sentence": self.sentence, "action": self.action, "evidence": list(self.evidence), "source": self.source,
            "choices": [{"value": one.value, "label": one.label} for one in self.choices], "tiers": list(self.tiers),
            "times": [self.due_in, self.expires_in, self.on_expiry], "callback_url": self.callback_url,
            "agent": self.agent, "answers": self.answers,
        }
        return hashlib.sha256(codec.dump(told)).hexdigest()


def judged(wanted: Ask, caller: User, resolver: guard.Resolve) -> list[Json]:
    """The caller's own tiers with their times. Raises InvalidInput for all that can not be taken, PayloadTooLarge."""
    codec.dump([wanted.action, list(wanted.evidence)], limit=queue.CONTENT_BYTES)
    seconds, errors = _times(wanted)
    asked = wanted.tiers or (() if wanted.tool else (OPERATORS,))
    errors += [*_of_tiers(asked, wanted, caller), *_of_answers(wanted), *_of_callback(wanted, resolver)]
    if errors:
        raise InvalidInput("Nothing was opened.", errors=errors)
    times = {"sla_seconds": seconds["due_in"], "expires_seconds": seconds["expires_in"], "on_expiry": wanted.on_expiry}
    return [{**tier, **times} for tier in asked]


def _fault(place: str, message: str) -> Fault:
    return {"field": place, "message": message}


def _times(wanted: Ask) -> tuple[dict[str, int | None], list[Fault]]:
    found: dict[str, int | None] = {}
    errors = []
    for name in ("due_in", "expires_in"):
        text = getattr(wanted, name)
        try:
            found[name] = durations.seconds(text) if text else None
        except ValueError as error:
            errors.append(_fault(name, f"{str(error).capitalize()}."))
        else:
            if found[name] == 0:
                errors.append(_fault(name, "Longer than nothing."))
    return found, errors


def _of_tiers(asked: Sequence[Json], wanted: Ask, caller: User) -> Iterator[Fault]:
    """What keeps the tiers from ever coming to their quorum; each first alone, then all of them together."""
    if len(asked) > MOST_TIERS:
        yield _fault("tiers", f"At most {MOST_TIERS}.")
        return
    staff, found = staffing.Staff.of_now(but=caller), list[Fault]()
    groups = [tier["group"] for tier in asked]
    for place, tier in enumerate(asked):
        if groups.index(tier["group"]) < place:
            found.append(_fault(f"tiers.{place}.group", "Each group once."))
            continue
        for gap in staffing.gaps(f"tiers.{place}", {"quorum": 1, **tier}, staff):
            found.append(_fault(gap.field, f"{gap.message[:300]} Whoever asks does not count."))
    if found and not wanted.tiers:
        found = [_fault("tiers", "Nobody of operators could answer; name a group of whom somebody can.")]
    yield from found or _crowded(asked, caller)


def _crowded(asked: Sequence[Json], caller: User) -> Iterator[Fault]:
    """The tiers for which too few are left, since nobody answers two of them."""
    demands = {place: [SEAT] * int(tier.get("quorum") or 1) for place, tier in enumerate(asked)}
    enough = MOST_TIERS * MOST_QUORUM  # of one group: however many the other tiers take, it is not short
    seats: dict[int, dict[int, frozenset[int]]] = {}
    for place, tier in enumerate(asked):
        members = User.objects.filter(is_active=True, groups__name=tier["group"]).exclude(pk=caller.pk)
        for person in members.order_by("pk").values_list("pk", flat=True)[:enough]:
            seats.setdefault(person, {})[place] = SEAT
    found = match(demands, [Approval(id=person, answers=places) for person, places in seats.items()])
    for place in sorted({place for place, _ in found.lacking}):
        yield _fault(f"tiers.{place}.quorum", "Nobody answers two tiers, so too few are left for this one.")


def _of_answers(wanted: Ask) -> Iterator[Fault]:
    values = [choice.value for choice in wanted.choices]
    if len(set(values)) != len(values):
        yield _fault("choices", "Each value once.")
    if not wanted.answers:
        return
    schema = wanted.answers.get("schema")
    if wanted.tool:
        yield _fault("answers", "An action is approved or not; leave out its tool to ask a question.")
    elif wanted.choices:
        yield _fault("answers", "Choices or an answer of its own, not both.")
    elif (wanted.answers["form"] == "schema") != (schema is not None):
        yield _fault("answers.schema", "It goes with the form `schema`, and only with that.")
    elif schema is not None and (why := answer_schema.fault(schema)):
        yield _fault("answers.schema", why)


def _of_callback(wanted: Ask, resolver: guard.Resolve) -> Iterator[Fault]:
    try:
        if wanted.callback_url:
            guard.check(wanted.callback_url, resolver)
    except guard.Refused as refused:
        yield _fault("callback_url", str(refused))
    except OSError:
        yield _fault("callback_url", "Its host can not be resolved.")
