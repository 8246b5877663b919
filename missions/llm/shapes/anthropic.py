"""Anthropic's `v1/messages`, its own or any server's that speaks it. Imports the SDK, which alone takes two seconds."""

from __future__ import annotations

import httpx2
from anthropic import AsyncAnthropic
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

from missions.llm.providers import Provider
from missions.llm.shapes import PLACEHOLDER


def adapter(provider: Provider, model: str, http: httpx2.AsyncClient) -> Model:
    """Pydantic AI's model for one LLM of this provider."""
    sdk = AsyncAnthropic(api_key=PLACEHOLDER, base_url=provider.base_url, max_retries=0, http_client=http)
    return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=sdk))
