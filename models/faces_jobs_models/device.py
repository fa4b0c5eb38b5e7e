"""Chooses between CPU and CUDA when a catalog is opened, and reads the GPU's memory use."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from typing import Literal

from faces_jobs.errors import DeviceError

WantedDevice = Literal["auto", "cpu", "cuda"]
Device = Literal["cpu", "cuda"]


def choose_device(wanted: WantedDevice) -> Device:
    """Return the device to use. torch is imported only if an NVIDIA driver is installed.

    Args:
        wanted: "auto" is CUDA where it works, else the CPU.

    Raises:
        DeviceError: "cuda" is wanted but not available, or `wanted` is none of the three.
    """
    if wanted == "cpu":
        return "cpu"
    if wanted == "auto":
        return "cuda" if _has_driver() and _torch_sees_cuda() else "cpu"
    if wanted != "cuda":
        raise DeviceError(f"Unknown device {wanted!r}: use auto, cpu or cuda.")
    if importlib.util.find_spec("torch") is None:
        raise DeviceError(
            "The device cuda needs torch, which is not installed: install a CUDA build of "
            "torch, or choose cpu."
        )
    if not _torch_sees_cuda():
        raise DeviceError(
            "The device cuda was requested, but torch finds no CUDA GPU: check the driver "
            "(nvidia-smi) and that torch is a CUDA build, or choose auto or cpu."
        )
    return "cuda"


def gpu_bytes() -> tuple[int, int]:
    """Return the GPU's used and total memory in bytes; used is that of all processes.

    Call it only after `choose_device` returned `cuda`.
    """
    import torch  # noqa: PLC0415 - not on machines that only use the CPU

    free, total = torch.cuda.mem_get_info()
    return int(total - free), int(total)


def _has_driver() -> bool:
    # Loading the driver's library takes a millisecond; importing torch takes seconds and 200 MB.
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _torch_sees_cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch  # noqa: PLC0415 - not on machines that only use the CPU

    return torch.cuda.is_available()
