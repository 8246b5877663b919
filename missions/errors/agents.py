"""What keeps an agent from its work."""

from __future__ import annotations

from missions.errors.base import StandfastError


class UnknownAgent(StandfastError):
    """There is no such agent, or no such version of it."""

    code = "unknown_agent"


class AgentInactive(StandfastError):
    """No version of this agent is in force."""

    code = "agent_inactive"


class AgentFailed(StandfastError):
    """An agent came to no answer: its LLM refused, answered nonsense again and again, or the library gave up."""

    code = "agent_failed"
