"""Whether half precision pays in training: it may take half of the time, or ten times as long."""

from __future__ import annotations

import torch

# Of x86 and ARM; processors without these imitate bfloat16.
_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device calculates with bfloat16 by itself."""
    if device.type != "cpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in _INSTRUCTIONS)
