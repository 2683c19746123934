"""How exactly a device can add up."""

import torch


def exact(device: torch.device) -> torch.dtype:
    """The type for sums over many samples: float64, or float32 on Apple's ``mps``, which has no float64.

    >>> exact(torch.device("cpu")), exact(torch.device("mps"))
    (torch.float64, torch.float32)
    """
    return torch.float32 if device.type == "mps" else torch.float64
