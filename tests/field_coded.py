"""Writes field-coded (PAFF) H.264, as broadcasts use and no available encoder produces."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

_COLUMNS, _ROWS = 4, 2  # macroblocks of a field
WIDTH, HEIGHT = 16 * _COLUMNS, 32 * _ROWS
_GOP_FRAMES = 12  # from one key frame to the next
_ACCESS_UNIT_DELIMITER = b"\0\0\0\1\x09\x10"


class _Bits:
    """The payload bits of one NAL unit (ITU-T H.264, 7.3 and 9.1)."""

    def __init__(self) -> None:
        self._text = ""

    def fixed(self, *numbers: tuple[int, int]) -> _Bits:
        """Append fixed-length numbers: (bits, value) each."""
        self._text += "".join(format(value, f"0{bits}b") for bits, value in numbers)
        return self

    def flags(self, text: str) -> _Bits:
        """Append bits given as zeros and ones."""
        self._text += text
        return self

    def golomb(self, *values: int) -> _Bits:
        """Append unsigned Exp-Golomb codes."""
        for value in values:
            self._text += "0" * ((value + 1).bit_length() - 1) + format(value + 1, "b")
        return self

    def samples(self, level: int) -> _Bits:
        """Append an uncompressed (I_PCM) macroblock of one gray level."""
        self._text += "0" * (-len(self._text) % 8)
        self._text += format(level, "08b") * 256 + format(128, "08b") * 128
        return self

    def unit(self, header: int) -> bytes:
        """Return the NAL unit: start code, header and payload with its emulation prevention."""
        text = self._text + "1"
        text += "0" * (-len(text) % 8)
        data, zeros = bytearray(), 0
        for byte in int(text, 2).to_bytes(len(text) // 8, "big"):
            if zeros >= 2 and byte <= 3:
                data.append(3)
                zeros = 0
            data.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return b"\0\0\0\1" + bytes([header]) + bytes(data)


def _parameter_sets() -> bytes:
    sequence = _Bits().fixed((8, 77), (8, 0), (8, 30)).golomb(0, 0, 2, 1).flags("0")
    # Field pictures without cropping, 50 per second.
    sequence.golomb(_COLUMNS - 1, _ROWS - 1).flags("0010" + "1" + "00001")
    sequence.fixed((32, 1), (32, 50)).flags("10000")
    picture = _Bits().golomb(0, 0).flags("00").golomb(0, 0, 0).flags("000")
    picture.golomb(0, 0, 0).flags("010")
    return sequence.unit(0x67) + picture.unit(0x68)


def _field(number: int, *, bottom: bool) -> bytes:
    is_key = number % _GOP_FRAMES == 0 and not bottom
    bits = _Bits().golomb(0, 7, 0).fixed((4, number % _GOP_FRAMES), (1, 1), (1, int(bottom)))
    if is_key:
        bits.golomb(number // _GOP_FRAMES % 2)
    bits.flags("00" if is_key else "0").golomb(0)
    for _ in range(_COLUMNS * _ROWS):
        bits.golomb(25).samples(60 + number % 100)
    return bits.unit(0x65 if is_key else 0x61)


def write_fields(path: Path, frames: int) -> Path:
    """Write an MPEG transport stream of gray frames, 25 per second, in two packets each."""
    packets = []
    for number in range(frames):
        head = _ACCESS_UNIT_DELIMITER + (_parameter_sets() if number % _GOP_FRAMES == 0 else b"")
        packets += [
            head + _field(number, bottom=False),
            _ACCESS_UNIT_DELIMITER + _field(number, bottom=True),
        ]
    bare = path.with_suffix(".h264")
    bare.write_bytes(b"".join(packets))
    with av.open(str(bare)) as template, av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream_from_template(template.streams.video[0])
        for number, data in enumerate(packets):
            packet = av.Packet(data)
            packet.time_base = Fraction(1, 50)
            packet.pts = packet.dts = number
            packet.is_keyframe = number % (2 * _GOP_FRAMES) == 0
            packet.stream = stream
            container.mux(packet)
    return path
