"""OpenAI's `chat/completions`, its own or any server's that speaks it. Imports the SDK."""

from __future__ import annotations

from typing import Any

import httpx2
from openai import AsyncOpenAI
from openai.resources.chat import AsyncCompletions
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

from missions.llm.providers import HOME, Provider
from missions.llm.shapes import PLACEHOLDER

STRICT = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)  # else half an answer passes for one


class Plain(AsyncCompletions):
    """Sends messages and tools as they are. They are plain JSON already; the SDK would walk through all of them looking
    for what is not, which takes longer than everything else that a turn of an agent does."""

    async def create(self, **given: Any) -> Any:
        """What the SDK's own does, with the same body."""
        body = dict(given.pop("extra_body", None) or {})
        for name in ("messages", "tools"):
            if isinstance(given.get(name), list):
                body[name] = given.pop(name)
        return await super().create(messages=(), extra_body=body, **given)


def adapter(provider: Provider, model: str, http: httpx2.AsyncClient) -> Model:
    """Pydantic AI's model for one LLM of this provider."""
    client = AsyncOpenAI(api_key=PLACEHOLDER, base_url=provider.base_url, max_retries=0, http_client=http)
    client.chat.completions = Plain(client)  # type: ignore[misc]  # a cached property, told as read-only
    if provider.base_url == HOME["openai"]:
        return OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client), profile=STRICT)
    compatible = OpenAICompatibleProvider(provider.name, openai_client=client)
    return OpenAIChatModel(model, provider=compatible, profile=STRICT)
