"""Settings of webhooks: their signing key, timeout, and the addresses that they may reach."""

from __future__ import annotations

import base64
import ipaddress

from pydantic import BaseModel, Field, SecretStr, field_validator

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class WebhookSettings(BaseModel):
    """How webhooks are signed, and which addresses they may reach."""

    webhook_secret: SecretStr | None = Field(
        default=None,
        description="Signs webhooks: `whsec_` and the base64 of 24 to 64 random bytes. "
        "Without it no job may have a webhook.",
    )
    webhook_networks: str = Field(
        default="",
        description="Networks, comma separated, that webhooks may reach although they are "
        "not public: `10.1.0.0/16,127.0.0.1`. None by default.",
    )
    webhook_ports: str = Field(
        default="80,443",
        description="Ports, comma separated, that webhooks may use; `*`: any.",
    )
    webhook_seconds: float = Field(
        default=10.0, gt=0, le=60, description="Timeout for a webhook's receiver to respond."
    )

    @field_validator("webhook_secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            _parse_signing_key(secret)
        return secret

    @field_validator("webhook_networks")
    @classmethod
    def _check_networks(cls, text: str) -> str:
        _parse_networks(text)
        return text

    @field_validator("webhook_ports")
    @classmethod
    def _check_ports(cls, text: str) -> str:
        _parse_ports(text)
        return text

    @property
    def webhook_key(self) -> bytes | None:
        """The key that webhooks are signed with."""
        return None if self.webhook_secret is None else _parse_signing_key(self.webhook_secret)

    @property
    def webhook_network_list(self) -> tuple[Network, ...]:
        """The networks that webhooks may reach although they are not public."""
        return _parse_networks(self.webhook_networks)

    @property
    def webhook_port_set(self) -> frozenset[int] | None:
        """The ports that webhooks may use. None: any."""
        return _parse_ports(self.webhook_ports)


def _parse_signing_key(secret: SecretStr) -> bytes:
    prefix, _, text = secret.get_secret_value().partition("_")
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if prefix != "whsec" or not 24 <= len(key) <= 64:
        raise ValueError(
            "must be whsec_ and the base64 of 24 to 64 bytes; create one with: python -c "
            '\'import base64, secrets; print("whsec_" + '
            "base64.b64encode(secrets.token_bytes(32)).decode())'"
        )
    return key


def _parse_networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def _parse_ports(text: str) -> frozenset[int] | None:
    if text.strip() == "*":
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 0 < int(part) < 65536 for part in parts):
        raise ValueError("must be port numbers, comma separated, or *")
    return frozenset(int(part) for part in parts)
