"""What a scene is, and the list of all scenes, to which modules of scenes add theirs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from missions.authoring import Context
from tests.deaths.faults import Fault

Given = dict[str, Any]
Body = Callable[[Context, Given], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One mission, and what is special about how it is performed."""

    body: Body
    terms: dict[str, Any] = field(default_factory=dict)  # of its type
    period_budgets: dict[str, int] = field(default_factory=dict)  # of its type: what is counted, and the amount
    first_dies_at: str = ""  # a crash point at which an earlier worker dies
    first_hurt: tuple[Fault, ...] = ()  # what befalls its worker before anything else does
    people: tuple[str, ...] = ()  # controls that are asked for, one each time that it waits for `go`
    at_once: str = ""  # a control that is asked for when the first worker has died
    overtakes: str = ""  # a control that is asked for while another one waits for people
    chooses: str = ""  # what people choose when they are asked first; later they say what they see
    ends: str = "completed"
    leaves_doubt: bool = False  # an effect of which nobody said whether it happened
    deadline: float | None = None  # seconds from its start
    diverges: bool = False

    @property
    def is_alone(self) -> bool:
        """Whether no other worker may be there: whoever comes buries the dead and runs controls, of any type."""
        return bool(self.first_dies_at or self.people or self.at_once or self.deadline or self.diverges)


SCENES: dict[str, Scene] = {}


def scene(**special: Any) -> Callable[[Body], Body]:
    """Add a scene under the name of its function."""

    def add(body: Body) -> Body:
        SCENES[body.__name__] = Scene(body=body, **special)
        return body

    return add
