"""Sends a POST to an address that a user named: to public addresses only, within a given time.

A name is resolved once, here; every address is judged before it is connected to, and TLS still
asks for the name. So a name that leads elsewhere at a second look (DNS rebinding) leads nowhere.
Redirects are not followed, and what the other side answers is told by its number alone: nobody
reads another machine's pages through us.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpcore

from faces_jobs.certificates import client_ssl_context
from faces_jobs.errors import OptionsError, WebhookError
from faces_jobs.jobs.webhook_url import port_of, split_webhook_url
from faces_jobs.settings import Settings

MAX_ANSWER_BYTES = 4096
USER_AGENT = "faces_jobs"

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# Beside what Python calls not global, which differs between its releases.
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
# Everything public is in here; what tunnels IPv4 (NAT64 aside, which is outside) is taken out.
_PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    ipaddress.IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Where deliveries may go."""

    networks: tuple[IpNetwork, ...]  # allowed though they are not public
    ports: frozenset[int] | None  # None: any

    @classmethod
    def from_settings(cls, settings: Settings) -> AddressPolicy:
        """What the settings allow."""
        return cls(settings.webhook_network_list, settings.webhook_port_set)

    def allows(self, address: IpAddress) -> bool:
        """True of public addresses, and of those in an allowed network."""
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
    """Judge a webhook when it is submitted, without a look at the network.

    Raises:
        OptionsError: it could never be delivered to under these settings.
    """
    if not url:
        return
    if settings.webhook_secret is None:
        raise OptionsError(
            {"webhook": "this server sends none: its FACES_JOBS_WEBHOOK_SECRET is not set"}
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
    """Send a body and return the status of the answer. `timeout_seconds` bounds all of it together.

    Raises:
        WebhookError: the address may not be reached, or nothing answered in time.
    """
    parts = _checked_parts(url, policy)
    host = parts.hostname or ""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    backend = _CheckedBackend(policy, deadline=time.monotonic() + timeout_seconds)
    sent = {
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
                max_connections=1,
                retries=0,
            ) as pool,
            pool.stream(
                "POST",
                httpcore.URL(
                    scheme=parts.scheme.encode(),
                    host=host.encode(),
                    port=port_of(parts),
                    target=target.encode(),
                ),
                headers=list(sent.items()),
                content=body,
                extensions={
                    "timeout": dict.fromkeys(("connect", "read", "write"), timeout_seconds)
                },
            ) as answer,
        ):
            _swallow(answer.iter_stream())
            return int(answer.status)
    except httpcore.TimeoutException as error:
        raise WebhookError(f"no answer within {timeout_seconds:g} s") from error
    except httpcore.ConnectError as error:
        if isinstance(error.__cause__, ssl.SSLError) or "SSL" in str(error):
            raise WebhookError("its TLS certificate or protocol is not accepted") from error
        raise WebhookError("nothing accepts connections there") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise WebhookError("the connection broke off, or what answered is no HTTP") from error


def _checked_parts(url: str, policy: AddressPolicy) -> Any:
    try:
        parts = split_webhook_url(url)
    except ValueError as error:
        raise WebhookError(str(error)) from error
    port = port_of(parts)
    if policy.ports is not None and port not in policy.ports:
        raise WebhookError(f"port {port} is not among those that webhooks may use")
    try:
        literal = ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return parts
    if not policy.allows(literal):
        raise _refused()
    return parts


def _resolve(host: str, port: int, policy: AddressPolicy) -> list[str]:
    """The addresses of a name that may be connected to.

    Raises:
        WebhookError: the name leads nowhere, or nowhere that is allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise WebhookError("its name is not known") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    allowed = [text for text in addresses if policy.allows(ipaddress.ip_address(text))]
    if not allowed:
        raise _refused()
    return allowed


def _refused() -> WebhookError:
    # Not which address: that would tell strangers what our resolver knows.
    return WebhookError("it leads to an address that is not public")


def _swallow(chunks: Iterable[bytes]) -> None:
    """Let the other side finish a short answer; a long one is cut off."""
    read = 0
    for chunk in chunks:
        read += len(chunk)
        if read >= MAX_ANSWER_BYTES:
            return


class _CheckedBackend(httpcore.NetworkBackend):
    """Opens connections to judged addresses only, whatever name stands in the URL."""

    def __init__(self, policy: AddressPolicy, *, deadline: float) -> None:
        self._reach = policy
        self._deadline = deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 (the deadline counts)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failed: httpcore.ConnectError | None = None
        for address in _resolve(host, port, self._reach):
            try:
                stream = self._sockets.connect_tcp(
                    address,
                    port,
                    timeout=_left(self._deadline),
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except httpcore.ConnectError as error:
                failed = error
                continue
            return _TimedStream(stream, self._deadline)
        raise failed or httpcore.ConnectError("no address")


class _TimedStream(httpcore.NetworkStream):
    """A connection whose every step has what is left of one common time.

    Who answers a byte now and then would otherwise hold us for ever.
    """

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 (the deadline counts)
        return self._stream.read(max_bytes, timeout=_left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 (the deadline counts)
        self._stream.write(buffer, timeout=_left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 (the deadline counts)
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(
            ssl_context, server_hostname=server_hostname, timeout=_left(self._deadline)
        )
        return _TimedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.TimeoutException("no time left")
    return left
