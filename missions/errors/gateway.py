"""What keeps a call of a tool from being made at all: its secrets, its isolation, its form."""

from __future__ import annotations

from missions.errors.base import StandfastError


class SecretMissing(StandfastError):
    """A secret that a tool needs is not there; nothing was done."""

    code = "secret_missing"


class SandboxRefused(StandfastError):
    """What must run in isolation does not run here."""

    code = "sandbox_refused"

    def __init__(self, message: str | None = None, *, missing: dict[str, str]) -> None:
        told = " ".join(f"{name}: {why}" for name, why in missing.items())
        super().__init__(message or f"It runs in isolation only, and that is not to be had here. {told}".strip())
        self.missing = missing


class ToolChanged(StandfastError):
    """The tool's server offers it differently than it was accepted, and people keep it blocked."""

    code = "tool_changed"


class UnknownServer(StandfastError):
    """No MCP server of this name is registered."""

    code = "unknown_server"


class ServerChanged(StandfastError):
    """Somebody has changed this server meanwhile; look at it again."""

    code = "server_changed"
