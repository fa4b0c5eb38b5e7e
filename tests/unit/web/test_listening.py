"""Where the web server listens: where it is told to, or one error says what to do."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from faces_jobs.errors import AddressError
from faces_jobs.settings import Settings
from faces_jobs_web.listening import check_address, listen
from tests.services import PATIENCE_SECONDS

TOKEN = SecretStr("0123456789abcdef")  # without one only this machine may be listened to
HOSTS = pytest.mark.parametrize(
    ("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)]
)


def at(folder: Path, host: str, port: int = 0) -> Settings:
    return Settings(data_folder=folder, host=host, port=port, access_token=TOKEN)


@HOSTS
def test_it_listens_where_it_is_told_to(
    tmp_path: Path, host: str, family: socket.AddressFamily
) -> None:
    with (
        listen(at(tmp_path, host)) as listener,
        socket.create_connection(listener.getsockname()[:2]) as connection,
    ):
        assert connection.family == family
        assert connection.getpeername() == listener.getsockname()


@HOSTS
def test_a_port_that_is_taken_is_told_with_what_to_do(
    tmp_path: Path, host: str, family: socket.AddressFamily
) -> None:
    with socket.create_server((host, 0), family=family) as other:
        port = other.getsockname()[1]
        with pytest.raises(AddressError) as told:
            check_address(at(tmp_path, host, port))
    assert f"Port {port} of {host} is in use" in str(told.value)
    assert "FACES_JOBS_PORT" in str(told.value)


def test_a_look_at_the_address_leaves_it_free(tmp_path: Path) -> None:
    with listen(at(tmp_path, "127.0.0.1")) as listener:
        port = listener.getsockname()[1]
    check_address(at(tmp_path, "127.0.0.1", port))
    check_address(at(tmp_path, "127.0.0.1", port))


def test_an_address_that_is_let_go_is_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        leaving = threading.Timer(0.5, other.close)
        leaving.start()
        with listen(at(tmp_path, "127.0.0.1", port), timeout_seconds=PATIENCE_SECONDS) as listener:
            assert listener.getsockname()[1] == port
        leaving.join()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_of_another_machine_is_told(tmp_path: Path, host: str) -> None:
    with pytest.raises(AddressError, match=rf"{host} is not an address of this machine.*HOST"):
        check_address(at(tmp_path, host))
