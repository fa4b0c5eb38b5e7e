"""FFmpeg opens only the file that it is given, whatever other files this one refers to.

Playlists are rejected by their content long before. These tests bypass that check and use the
demuxers that open other files; what holds for them also holds for references in MP4 or MXF.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from faces_jobs.errors import MediaError
from faces_jobs.pipeline.reading.containers import SourceFile, open_container
from faces_jobs.pipeline.reading.declared_size import DeclaredSize
from tests import clips


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A video that was not submitted."""
    return clips.write_video(tmp_path / "canary.ts", clips.moving_squares(5))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A local server that must not receive a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


def referring_to(place: str, kind: str) -> str:
    if kind == "hls":
        return f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{place}\n#EXT-X-ENDLIST\n"
    return f"ffconcat version 1.0\nfile '{place}'\n"


@pytest.mark.parametrize("kind", ["hls", "concat"])
def test_playlist_demuxers_cannot_open_files(tmp_path: Path, canary: Path, kind: str) -> None:
    playlist = tmp_path / "list.txt"
    playlist.write_text(referring_to(canary.name, kind))
    # Without our restrictions FFmpeg reads it.
    with av.open(str(playlist), format=kind) as container:
        assert len(list(container.decode(video=0))) == 5
    size = playlist.stat().st_size

    def read_on() -> None:
        with SourceFile(playlist) as file:
            container = open_container(file, kind, DeclaredSize(size), max_pixels=10**6)
            assert not list(container.decode(video=0))

    with pytest.raises((MediaError, av.FFmpegError, IndexError)):
        read_on()


def test_playlist_demuxers_cannot_open_connections(tmp_path: Path, listener: socket.socket) -> None:
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/a.ts"
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(referring_to(address, "hls"))
    with SourceFile(playlist) as file, pytest.raises(MediaError):
        open_container(file, "hls", DeclaredSize(playlist.stat().st_size), max_pixels=10**6)
    with pytest.raises(TimeoutError):
        listener.accept()
