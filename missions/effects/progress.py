"""How far one tool call has come, folded from its entries.

Pure. Live execution folds what it has just recorded with the same function that replay folds what it reads, so there is
one account of the protocol: engine.md's ruling → decision → intent → call → outcome, and the ways out of doubt.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from missions.governance import Answer, Json, Ruling, RulingOutcome
from missions.models import Kind


class Phase(StrEnum):
    """What comes next for this call."""

    RULE = "rule"  # ask the gate
    ASK = "ask"  # open a decision
    ANSWER = "answer"  # wait for its answer
    INTEND = "intend"  # record the intent
    CALL = "call"  # rule again, then call
    BACKOFF = "backoff"  # certainly not done; wait until `resume_at`, then call
    DOUBT = "doubt"  # find out whether it happened
    REREAD = "reread"  # read what was demanded as evidence again, then go on at `back`
    ADOPT = "adopt"  # take over what an earlier timeline did
    DONE = "done"  # it happened; `outcome` holds the result
    NOT_DONE = "not_done"  # it certainly did not happen, and will not
    REFUSED = "refused"  # policy or a person refused it, or a person stopped here


ENDS = (Phase.DONE, Phase.NOT_DONE, Phase.REFUSED)


@dataclass(slots=True)
class Progress:
    """The folded entries of one tool call."""

    phase: Phase = Phase.RULE
    ruling: Ruling | None = None
    round: int = 0  # of decisions, in-doubt ones included
    asked: Json = field(default_factory=dict)
    answer: Answer | None = None
    approved: Json | None = None  # the `asked` entry that an approval answered, with the digest that was approved
    edited: Json | None = None  # the arguments that people approved in the place of the author's
    edit: int = 0  # how often they changed them; part of what the digest covers
    recheck: bool = False  # edited since policy last spoke
    generation: int = 1
    intent: Json | None = None
    deadline: dt.datetime | None = None
    tries: int = 0  # how often it was put off or called again under this intent
    cut: bool = False  # in doubt since a worker stopped, which says nothing of the other side
    cuts: int = 0  # how often that was so under this intent; each is called again once, and counts among `tries`
    deaths: int = 0  # the same under all intents, since a person was last asked
    probes: int = 0
    resume_at: dt.datetime | None = None
    outcome: Json = field(default_factory=dict)
    both: bool = False  # people want it done although something else stands
    told_of_circuit: bool = False
    told_of_limit: bool = False
    uncertain: bool = False  # some call under this intent may have happened
    forgotten: bool = False  # in doubt since a backup was restored: it may have happened in what was lost
    cleared: bool = False  # it did not happen in what was lost: a probe or a person says so
    basis: list[Json] = field(default_factory=list)  # the reads that the ruling, or the question, rests on
    reads: list[Json] = field(default_factory=list)  # those that are made again now
    rereads: int = 0  # how many were begun again so far
    back: Phase = Phase.RULE  # where it goes on after them
    checked: list[Json] = field(default_factory=list)  # what they gave; counts for one dispatch
    missing: str = ""  # why one of them gave nothing
    superseded: Json = field(default_factory=dict)  # the decision that changed evidence took back, and what changed

    @property
    def key(self) -> str:
        """The key in the intent; empty before there is one."""
        return str(self.intent["key"]) if self.intent else ""

    @property
    def charged(self) -> str:
        """The key under which the intent was charged to period budgets; empty where it was to none."""
        return self.key if self.intent is not None and self.intent.get("charged") else ""

    @property
    def stage(self) -> Phase:
        """The phase, where reading again is a part of what it is done for."""
        return self.back if self.phase is Phase.REREAD else self.phase

    @property
    def unsettled(self) -> bool:
        """Whether an intent is recorded and nobody knows yet, or for good, what became of it."""
        return self.intent is not None and self.stage in (Phase.CALL, Phase.BACKOFF, Phase.DOUBT, Phase.ANSWER)

    @property
    def shielded(self) -> bool:
        """Whether an effect is under way: its branch may not be cut off before its outcome is known."""
        if self.intent is None:
            return False
        in_doubt = self.phase is Phase.ANSWER and self.asked.get("kind") == "in_doubt"
        return in_doubt or self.stage in (Phase.CALL, Phase.BACKOFF, Phase.DOUBT)

    @property
    def question(self) -> str:
        """The decision that it waits for; empty while it does not."""
        return str(self.asked["decision"]) if self.phase is Phase.ANSWER else ""

    def read_again(self, checked: list[Json], missing: str) -> None:
        """Go on after reading again: what it gave, or why it gave nothing. Folded from those reads' own entries."""
        self.checked, self.missing, self.phase = checked, missing, self.back
        self.rereads += len(self.reads)

    def fold(self, kind: str, payload: Json) -> bool:
        """Take the next entry; False where it can not follow."""
        step = _FOLDS.get(kind)
        if step is None:
            return False
        step(self, payload)
        return True


def moment(text: Any) -> dt.datetime:
    """An RFC 3339 time of a payload."""
    return dt.datetime.fromisoformat(str(text))


def _ruling(progress: Progress, payload: Json) -> None:
    progress.ruling, progress.recheck = Ruling.from_json(payload), False
    progress.basis, progress.checked, progress.missing = list(payload.get("rests_on", ())), [], ""
    after = {RulingOutcome.ALLOW: Phase.INTEND, RulingOutcome.DENY: Phase.REFUSED, RulingOutcome.ESCALATE: Phase.ASK}
    progress.phase = after[progress.ruling.outcome]


def _asked(progress: Progress, payload: Json) -> None:
    progress.asked, progress.answer, progress.phase = payload, None, Phase.ANSWER
    progress.round = int(payload["round"])
    if "evidence" in payload:
        progress.basis, progress.checked = list(payload["evidence"]), []


def _answered(progress: Progress, payload: Json) -> None:
    progress.answer = Answer.from_json(payload["answer"])
    if "changed" in payload:  # first: what was asked last may have been what became of an earlier generation
        _supersede(progress, payload)
        progress.phase = Phase.RULE
    elif progress.asked.get("kind") == "in_doubt":
        progress.phase, progress.deaths = Phase.DOUBT, 0
    elif progress.asked.get("kind") == "standing":
        _stood(progress)
    elif progress.answer.verdict == "approved":
        _approved(progress, progress.answer)
    elif progress.answer.verdict == "superseded":  # by a change of what is asked, or of what policy says of it
        progress.phase = Phase.RULE
    else:
        progress.phase = Phase.REFUSED


def _approved(progress: Progress, answer: Answer) -> None:
    """Consent to what was asked, or to other arguments, on which policy has to speak first."""
    progress.approved, progress.phase = {**progress.asked, "digest": answer.digest}, Phase.INTEND
    if answer.edited_args is not None:
        progress.edited, progress.edit, progress.recheck = answer.edited_args, answer.edit, True
        progress.phase = Phase.RULE


def _supersede(progress: Progress, payload: Json) -> None:
    """What the approval rested on has changed: it counts no more."""
    progress.approved = None
    progress.superseded = {"supersedes": payload.get("decision", ""), "changed": payload["changed"]}


def _stood(progress: Progress) -> None:
    """What people said of an effect that stands; no answer asks again."""
    choice = progress.answer.choice if progress.answer is not None else ""
    progress.both = choice == "both"
    if choice == "adopt":
        progress.phase = Phase.ADOPT
    elif choice == "stop" or (progress.answer is not None and progress.answer.verdict == "rejected"):
        progress.phase = Phase.REFUSED
        progress.outcome = {"state": "unknown"} if choice else {}
    else:
        progress.phase = Phase.RULE


def _intent(progress: Progress, payload: Json) -> None:
    progress.intent, progress.phase = payload, Phase.CALL
    progress.deadline, progress.generation = moment(payload["deadline_at"]), int(payload["generation"])
    progress.tries = progress.cuts = progress.probes = 0
    progress.uncertain = progress.forgotten = progress.cleared = False
    progress.answer, progress.checked = None, []


def _doubt(progress: Progress, payload: Json) -> None:
    progress.phase, progress.uncertain, progress.resume_at = Phase.DOUBT, True, None
    progress.forgotten = bool(payload.get("restored"))
    progress.cut = payload.get("restored") is False  # an answer that tells nothing says nothing of backups either
    progress.cuts += progress.cut
    progress.deaths += progress.cut


def _probed(progress: Progress, payload: Json) -> None:
    progress.probes += 1
    resume_at = payload.get("resume_at")
    progress.resume_at = moment(resume_at) if resume_at else None


def _observed(progress: Progress, payload: Json) -> None:
    if "reads" not in payload:
        progress.told_of_limit = True
        return
    progress.reads, progress.checked, progress.missing = payload["reads"], [], ""
    progress.back, progress.phase = progress.phase, Phase.REREAD


def _backoff(progress: Progress, payload: Json) -> None:
    if payload.get("circuit"):  # a wait before the call, which changes nothing about it
        progress.told_of_circuit = True
        return
    progress.resume_at = moment(payload["resume_at"])
    progress.tries = int(payload["count"])
    progress.phase = Phase.BACKOFF


def _retry(progress: Progress, payload: Json) -> None:
    progress.tries, progress.phase = int(payload["count"]), Phase.CALL
    progress.deadline = moment(payload["deadline_at"])
    progress.resume_at, progress.checked = None, []
    if progress.forgotten:  # nothing was called under this intent that is not known
        progress.forgotten, progress.uncertain, progress.cleared, progress.answer = False, False, True, None


def _outcome(progress: Progress, payload: Json) -> None:
    progress.outcome = payload
    again = payload.get("again")
    if payload["state"] == "done":
        progress.phase = Phase.DONE
    elif again:  # certainly not done, and wanted still: a new generation, ruled on anew where the gate refused it
        progress.generation += 1
        if "changed" in payload:
            _supersede(progress, payload)
        progress.phase = Phase.RULE if again == "rule" else Phase.INTEND
    else:
        progress.phase = Phase.REFUSED if payload["state"] == "unknown" else Phase.NOT_DONE


_FOLDS: dict[str, Callable[[Progress, Json], None]] = {
    Kind.RULING: _ruling, Kind.ASKED: _asked, Kind.ANSWERED: _answered, Kind.INTENT: _intent, Kind.DOUBT: _doubt,
    Kind.PROBED: _probed, Kind.BACKOFF: _backoff, Kind.RETRY: _retry, Kind.OUTCOME: _outcome,
    Kind.OBSERVED: _observed,
}
