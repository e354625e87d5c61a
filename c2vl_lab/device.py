"""Where to compute."""

from __future__ import annotations

import torch

from c2vl_lab.errors import ConfigError


def pick_device(wanted: str) -> str:
    """ "auto" becomes "cuda" where there is a GPU, else "cpu".

    Raises:
        ConfigError: a GPU was asked for and there is none.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device '{wanted}' was asked for, but torch sees no GPU here. Use device='cpu'.")
    return wanted
