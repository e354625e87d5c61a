"""Let torchvision import beside a torch build that its compiled operators do not fit.

A CPU build of torch beside torchvision's ordinary (CUDA) wheel cannot load torchvision's compiled
part, and then ``import torchvision`` fails with "operator torchvision::nms does not exist"; with it
fail open_clip, timm and transformers. None of our teachers uses these two operators, so declaring
their signatures is enough.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import PathFinder

SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
OPERATORS = ("nms", "qnms")


def guard_torchvision() -> list[str]:
    """Declare the signatures that torchvision needs at import, only where its own are missing.

    Call it before open_clip, timm or transformers are imported; calling it again does nothing.

    Returns:
        The operators that were declared now (empty where torchvision is whole or not installed).
    """
    import torch

    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is None or _own_operators_load():
        return []
    declared = []
    for name in OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", SIGNATURE)
            declared.append(name)
    return declared


def _own_operators_load() -> bool:
    """Whether torchvision's compiled part loads beside this torch (it stays loaded then)."""
    import torch

    package = importlib.util.find_spec("torchvision")
    compiled = PathFinder.find_spec("_C", list(package.submodule_search_locations or [])) if package else None
    if compiled is None or compiled.origin is None:
        return False
    try:
        torch.ops.load_library(compiled.origin)
    except (ImportError, OSError):
        return False
    return True
