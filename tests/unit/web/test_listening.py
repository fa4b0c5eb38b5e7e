"""The listening socket of the web server, and the errors if it can't be opened."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from faces_jobs.errors import AddressError
from faces_jobs.settings import Settings
from faces_jobs_web.server.listening import check_address, listen
from tests.services import TIMEOUT_SECONDS

TOKEN = SecretStr("0123456789abcdef")  # required for addresses other than loopback
HOSTS = pytest.mark.parametrize(
    ("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)]
)


def settings_for(folder: Path, host: str, port: int = 0) -> Settings:
    return Settings(data_folder=folder, host=host, port=port, access_token=TOKEN)


@HOSTS
def test_the_socket_listens_at_the_configured_host(
    tmp_path: Path, host: str, family: socket.AddressFamily
) -> None:
    with (
        listen(settings_for(tmp_path, host)) as listener,
        socket.create_connection(listener.getsockname()[:2]) as connection,
    ):
        assert connection.family == family
        assert connection.getpeername() == listener.getsockname()


@HOSTS
def test_the_error_for_a_port_in_use_names_the_setting(
    tmp_path: Path, host: str, family: socket.AddressFamily
) -> None:
    with socket.create_server((host, 0), family=family) as other:
        port = other.getsockname()[1]
        with pytest.raises(AddressError) as caught:
            check_address(settings_for(tmp_path, host, port))
    assert f"Port {port} of {host} is in use" in str(caught.value)
    assert "FACES_JOBS_PORT" in str(caught.value)


def test_checking_the_address_leaves_it_free(tmp_path: Path) -> None:
    with listen(settings_for(tmp_path, "127.0.0.1")) as listener:
        port = listener.getsockname()[1]
    check_address(settings_for(tmp_path, "127.0.0.1", port))
    check_address(settings_for(tmp_path, "127.0.0.1", port))


def test_listening_waits_for_an_address_that_is_being_released(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        release = threading.Timer(0.5, other.close)
        release.start()
        with listen(
            settings_for(tmp_path, "127.0.0.1", port), timeout_seconds=TIMEOUT_SECONDS
        ) as listener:
            assert listener.getsockname()[1] == port
        release.join()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_of_another_machine_is_an_error(tmp_path: Path, host: str) -> None:
    with pytest.raises(AddressError, match=rf"{host} is not an address of this machine.*HOST"):
        check_address(settings_for(tmp_path, host))
