"""Webhooks are sent to allowed addresses only: checked by the address connected to, not by name."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from faces_jobs import outbound
from faces_jobs.certificates import client_ssl_context
from faces_jobs.errors import OptionsError, WebhookError
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.webhook_url import split_webhook_url
from faces_jobs.outbound import AddressPolicy, check_webhook, post
from faces_jobs.settings import Settings
from tests.receivers import receiver, self_signed_certificate

PUBLIC = AddressPolicy(networks=(), ports=None)
LOCALHOST = AddressPolicy(networks=(ipaddress.ip_network("127.0.0.1"),), ports=None)
SECRET = SecretStr("whsec_" + "A" * 44)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.255.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "172.31.255.255",
        "192.168.1.1",
        "192.0.0.8",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.1.1.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001::1",
        "2001:db8::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_public_are_refused(text: str) -> None:
    assert not PUBLIC.allows(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["1.1.1.1", "93.184.215.14", "::ffff:1.1.1.1", "2606:4700::1111"])
def test_public_addresses_are_allowed(text: str) -> None:
    assert PUBLIC.allows(ipaddress.ip_address(text))


@given(st.ip_addresses())
def test_no_address_that_python_considers_private_is_allowed(address: Any) -> None:
    inner = getattr(address, "ipv4_mapped", None) or address
    if not inner.is_global or inner.is_loopback or inner.is_link_local or inner.is_multicast:
        assert not PUBLIC.allows(address)


def test_an_allowed_network_also_allows_its_ipv4_mapped_addresses() -> None:
    for text in ("127.0.0.1", "::ffff:127.0.0.1"):
        assert LOCALHOST.allows(ipaddress.ip_address(text))
    assert not LOCALHOST.allows(ipaddress.ip_address("127.0.0.2"))


@pytest.mark.parametrize(
    "url",
    [
        "localhost",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "//example.org/",
        "http://",
        "http:///path",
        "http://user:password@example.org/",
        "http://example.org@127.0.0.1/",
        "http://example.org\\@127.0.0.1/",
        "http://example.org/#part",
        "http://example.org:0/",
        "http://example.org:70000/",
        "http://example.org:a/",
        "http://[::1/",
        "http://exa mple.org/",
        "http://example.org/\r\nX: y",
        "http://exämple.org/",
        "http://example.org/" + "a" * 2048,
    ],
)
def test_an_invalid_webhook_url_is_refused_at_submission(url: str) -> None:
    with pytest.raises(OptionsError) as refusal:
        JobSpec.parse({"webhook": url})
    assert set(refusal.value.fields) == {"webhook"}


@given(st.text())
def test_any_text_is_a_url_or_raises_a_value_error(text: str) -> None:
    try:
        parts = split_webhook_url(text)
    except ValueError:
        return
    assert parts.scheme in {"http", "https"}
    assert parts.hostname


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://127.0.0.1/", "not public"),
        ("https://[::1]/", "not public"),
        ("https://[::ffff:127.0.0.1]/", "not public"),
        ("https://169.254.169.254/latest/meta-data", "not public"),
        ("https://example.org:8443/", "port 8443"),
        ("http://example.org:22/", "port 22"),
    ],
)
def test_an_address_or_port_that_is_not_allowed_is_refused_at_submission(
    settings: Settings, url: str, message: str
) -> None:
    configured = settings.model_copy(update={"webhook_secret": SECRET})
    check_webhook("https://example.org/hook", configured)
    check_webhook("", settings)
    with pytest.raises(OptionsError, match=message):
        check_webhook(url, configured)
    with pytest.raises(OptionsError, match="FACES_JOBS_WEBHOOK_SECRET"):
        check_webhook("https://example.org/hook", settings)


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "[::1]"],
)
def test_this_machine_is_not_reachable_under_any_of_its_names(host: str) -> None:
    with receiver() as receiving:
        url = receiving.url.replace("127.0.0.1", host)
        with pytest.raises(WebhookError, match=r"not public|be resolved"):
            post(url, b"{}", {}, policy=PUBLIC, timeout_seconds=5)
        assert receiving.received == []


class ChangingNames:
    """Replaces `getaddrinfo`: each call returns the next answer, as in a DNS rebinding attack."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.calls = 0

    def __call__(self, _host: str, port: int, **_kind: Any) -> list[Any]:
        self.calls += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in answer]


def test_the_address_that_was_checked_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with receiver() as receiving:
        port = receiving.url.split(":")[2].split("/")[0]
        # First an allowed address, then another: a second lookup would fail.
        names = ChangingNames(["127.0.0.1"], ["127.0.0.2"])
        monkeypatch.setattr(socket, "getaddrinfo", names)
        real = socket.create_connection
        connected = []

        def create_connection(address: tuple[str, int], *rest: Any, **more: Any) -> socket.socket:
            connected.append(address[0])
            monkeypatch.undo()  # the real functions handle the numeric address
            return real(address, *rest, **more)

        monkeypatch.setattr(socket, "create_connection", create_connection)
        status = post(
            f"http://hook.example:{port}/x?y=z", b"{}", {}, policy=LOCALHOST, timeout_seconds=5
        )

        assert (status, connected, names.calls) == (204, ["127.0.0.1"], 1)
        (received,) = receiving.received
        assert (received.path, received.body) == ("/x?y=z", b"{}")
        assert received.headers["host"] == f"hook.example:{port}"


def test_another_address_is_tried_if_the_first_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    both = AddressPolicy(
        networks=tuple(map(ipaddress.ip_network, ("::1", "127.0.0.1"))), ports=None
    )
    with receiver() as receiving:
        url = receiving.url.replace("127.0.0.1", "both.example").removesuffix("/hook")
        real = socket.getaddrinfo

        def lookup(host: str, *rest: Any, **more: Any) -> Any:
            texts = ["::1", "127.0.0.1"] if host == "both.example" else [host]
            return [found for text in texts for found in real(text, *rest, **more)]

        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        assert post(url, b"{}", {}, policy=both, timeout_seconds=5) == 204
        assert receiving.received[0].path == "/"


def test_of_a_name_s_addresses_only_the_public_ones_are_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", ChangingNames(["10.0.0.1", "1.1.1.1", "::1"]))
    assert outbound._resolve("both.example", 443, PUBLIC) == ["1.1.1.1"]


def test_tls_sends_the_host_name_and_verifies_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed_certificate(tmp_path, "hook.example")
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(*certificate)
    requested: list[str | None] = []
    server_side.sni_callback = lambda _socket, name, _context: requested.append(name)
    real = socket.getaddrinfo

    def lookup(host: str, *rest: Any, **more: Any) -> Any:
        return real("127.0.0.1" if host.endswith(".example") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(outbound, "client_ssl_context", client_ssl_context.__wrapped__)
    with receiver(tls=server_side) as receiving:
        url = receiving.url.replace("127.0.0.1", "hook.example")
        with pytest.raises(WebhookError, match="certificate"):
            post(url, b"{}", {}, policy=LOCALHOST, timeout_seconds=5)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        assert post(url, b"{}", {}, policy=LOCALHOST, timeout_seconds=5) == 204
        with pytest.raises(WebhookError, match="certificate"):
            post(url.replace("hook.", "other."), b"{}", {}, policy=LOCALHOST, timeout_seconds=5)
    assert requested == ["hook.example", "hook.example", "other.example"]
    assert len(receiving.received) == 1


def test_a_port_without_a_listener_is_reported(unused_port: int) -> None:
    with pytest.raises(WebhookError, match="the connection was refused"):
        post(f"http://127.0.0.1:{unused_port}/", b"{}", {}, policy=LOCALHOST, timeout_seconds=5)


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that is bound but does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@pytest.mark.parametrize(
    "values",
    [
        {"webhook_secret": "too-short"},
        {"webhook_secret": "whsec_" + "!A" * 44},
        {"webhook_secret": "whsec_" + "A" * 8},
        {"webhook_networks": "10.0.0.0/33"},
        {"webhook_networks": "everything"},
        {"webhook_ports": ""},
        {"webhook_ports": "80,http"},
        {"webhook_ports": "0"},
        {"webhook_ports": "65536"},
        {"webhook_seconds": 0},
    ],
)
def test_invalid_webhook_settings_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**values)


def test_webhook_settings_are_parsed_to_typed_values() -> None:
    settings = Settings(
        webhook_secret=SECRET, webhook_networks="10.0.0.0/8, ::1", webhook_ports="80, 8443"
    )
    assert settings.webhook_key == bytes(33)
    assert [str(network) for network in settings.webhook_network_list] == ["10.0.0.0/8", "::1/128"]
    assert settings.webhook_port_set == frozenset({80, 8443})
    assert Settings(webhook_ports="*").webhook_port_set is None
