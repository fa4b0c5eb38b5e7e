"""Send a POST to a URL given by a user: to allowed addresses only, within a total timeout.

This guards against server-side request forgery. A host name is resolved once, here, and each of its
addresses is checked before it is connected to (TLS still verifies the name), so that DNS rebinding
has no effect. Redirects are not followed, and of the response only the status is returned: nobody
can read another machine's pages through this server.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult

import httpcore

from faces_jobs.certificates import client_ssl_context
from faces_jobs.errors import OptionsError, WebhookError
from faces_jobs.jobs.webhook_url import port_of, split_webhook_url
from faces_jobs.settings import Settings

MAX_RESPONSE_BYTES = 4096
USER_AGENT = "faces_jobs"

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# In addition to what `is_global` excludes, which differs between releases of Python.
_NOT_PUBLIC_4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/3",
    )
)
# All public addresses are in here. Excluded are tunnels of IPv4 (NAT64 is outside anyway).
_PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    ipaddress.IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """The addresses and ports to which webhooks may be delivered."""

    networks: tuple[IpNetwork, ...]  # allowed although not public
    ports: frozenset[int] | None  # None: any

    @classmethod
    def from_settings(cls, settings: Settings) -> AddressPolicy:
        """The policy that the settings define."""
        return cls(settings.webhook_network_list, settings.webhook_port_set)

    def allows(self, address: IpAddress) -> bool:
        """True for public addresses and for those in an allowed network."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if any(address in network for network in self.networks):
            return True
        if not address.is_global or address.is_multicast:
            return False
        if isinstance(address, ipaddress.IPv4Address):
            return not any(address in network for network in _NOT_PUBLIC_4)
        return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)


def check_webhook(url: str, settings: Settings) -> None:
    """Validate a webhook URL at submission, without access to the network.

    Raises:
        OptionsError: the settings do not allow any delivery to this URL.
    """
    if not url:
        return
    if settings.webhook_secret is None:
        raise OptionsError(
            {"webhook": "this server sends no webhooks: FACES_JOBS_WEBHOOK_SECRET is not set"}
        )
    try:
        _checked_parts(url, AddressPolicy.from_settings(settings))
    except WebhookError as error:
        raise OptionsError({"webhook": str(error)}) from error


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    policy: AddressPolicy,
    timeout_seconds: float,
) -> int:
    """Send a POST and return the status of the response, within `timeout_seconds` in total.

    Raises:
        WebhookError: the address is not allowed, or no response came in time.
    """
    parts = _checked_parts(url, policy)
    host = parts.hostname or ""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    backend = _CheckedBackend(policy, deadline=time.monotonic() + timeout_seconds)
    all_headers = {
        "Host": parts.netloc,
        "User-Agent": USER_AGENT,
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    try:
        with (
            httpcore.ConnectionPool(
                ssl_context=client_ssl_context(),
                network_backend=backend,
            ) as pool,
            pool.stream(
                "POST",
                httpcore.URL(
                    scheme=parts.scheme.encode(),
                    host=host.encode(),
                    port=port_of(parts),
                    target=target.encode(),
                ),
                headers=list(all_headers.items()),
                content=body,
            ) as response,
        ):
            _drain(response.iter_stream())
            return int(response.status)
    except httpcore.TimeoutException as error:
        raise WebhookError(f"no response within {timeout_seconds:g} s") from error
    except httpcore.ConnectError as error:
        if isinstance(error.__cause__, ssl.SSLError) or "SSL" in str(error):
            raise WebhookError("its TLS certificate or protocol version is not accepted") from error
        raise WebhookError("the connection was refused, or its host is unreachable") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise WebhookError("the connection broke, or the receiver does not speak HTTP") from error


def _checked_parts(url: str, policy: AddressPolicy) -> SplitResult:
    """Split a URL and check its port, and its host if that is an address."""
    try:
        parts = split_webhook_url(url)
    except ValueError as error:
        raise WebhookError(str(error)) from error
    port = port_of(parts)
    if policy.ports is not None and port not in policy.ports:
        raise WebhookError(f"port {port} is not allowed for webhooks")
    try:
        address = ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return parts
    if not policy.allows(address):
        raise _not_public()
    return parts


def _resolve(host: str, port: int, policy: AddressPolicy) -> list[str]:
    """The addresses of a host name that the policy allows.

    Raises:
        WebhookError: the name can't be resolved, or none of its addresses is allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise WebhookError("its host name can't be resolved") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    allowed = [text for text in addresses if policy.allows(ipaddress.ip_address(text))]
    if not allowed:
        raise _not_public()
    return allowed


def _not_public() -> WebhookError:
    # Without the address: it would reveal to users what our resolver knows.
    return WebhookError("its address is not public, and not in an allowed network")


def _drain(chunks: Iterable[bytes]) -> None:
    """Read a short response to its end; abandon a long one."""
    received = 0
    for chunk in chunks:
        received += len(chunk)
        if received >= MAX_RESPONSE_BYTES:
            return


class _CheckedBackend(httpcore.NetworkBackend):
    """Connects to addresses that the policy allows only, whatever the URL's host resolves to."""

    def __init__(self, policy: AddressPolicy, *, deadline: float) -> None:
        self._policy = policy
        self._deadline = deadline
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 (the deadline applies)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        last_error: httpcore.ConnectError | None = None
        for address in _resolve(host, port, self._policy):
            try:
                stream = self._backend.connect_tcp(
                    address,
                    port,
                    timeout=_remaining_seconds(self._deadline),
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except httpcore.ConnectError as error:
                last_error = error
                continue
            return _TimedStream(stream, self._deadline)
        raise last_error or httpcore.ConnectError("no address")


class _TimedStream(httpcore.NetworkStream):
    """A connection whose operations share one deadline.

    With a timeout per operation, a receiver that sends a byte now and then could hold us for ever.
    """

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 (the deadline applies)
        return self._stream.read(max_bytes, timeout=_remaining_seconds(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 (the deadline applies)
        self._stream.write(buffer, timeout=_remaining_seconds(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 (the deadline applies)
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(
            ssl_context, server_hostname=server_hostname, timeout=_remaining_seconds(self._deadline)
        )
        return _TimedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _remaining_seconds(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise httpcore.TimeoutException("the deadline has passed")
    return remaining
