"""Where the API is, and who asks."""

from __future__ import annotations

from dataclasses import dataclass, field

from demandbase_api.connection_settings import checked_credential, checked_url
from demandbase_api.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the API is and how to talk to it.

    Args:
        api_url: Scheme and host, as in ``https://api.demandbase.com``.
        access_token: Bearer token, where there is one.
        request_timeout_seconds: How long an answer may stay silent.
        retry: How reads are repeated.
        user_agent: Name that goes before the version in ``User-Agent``.
        client_id: Who asks for tokens, where they can be had.
        client_secret: What proves it.

    Raises:
        ConfigurationError: The address or a credential cannot be used.
    """

    api_url: str
    access_token: str | None = field(default=None, repr=False)
    request_timeout_seconds: float = 300
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    user_agent: str = "singer-demandbase"
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check address and credentials, and take white space off their ends."""
        object.__setattr__(self, "api_url", checked_url(self.api_url))
        for name in ("access_token", "client_id", "client_secret"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, checked_credential(value, name))

    @property
    def is_static(self) -> bool:
        """Whether there is nothing but a token, which cannot be renewed."""
        return self.client_id is None and self.client_secret is None
