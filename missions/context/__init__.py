"""What the author of a mission holds: the calls that make its work durable.

One object per attempt; each call finds the branch it is made from. A call from a task that is no branch of the mission
is refused, since its order would differ from run to run.
"""

from __future__ import annotations

from missions.context.chapters import Chapters
from missions.context.deciding import Deciding
from missions.context.facts import Facts
from missions.context.files import Files
from missions.context.minds import Minds
from missions.context.patches import Patches
from missions.context.people import People
from missions.context.relations import Relations
from missions.context.resources import Resources
from missions.context.spending import Spending
from missions.context.strands import Strands
from missions.context.work import Work
from missions.control.programs import steer


class Context(
    Work, Relations, Strands, Resources, People, Deciding, Files, Facts, Chapters, Patches, Spending, Minds
):
    """The durable calls of one mission. Await each of them; what one returned is recorded and never done again."""

    steer = staticmethod(steer)
