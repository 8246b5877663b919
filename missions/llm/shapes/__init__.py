"""Pydantic AI's models for a provider's API, a module for each: its SDK is imported for such a provider only.

Retries of SDKs are off: the chain judges a failure, and the mission waits. The key is put in by the transport.
"""

PLACEHOLDER = "the key is put in by the transport"
