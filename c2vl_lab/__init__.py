"""c2vl_lab: an interactive research workbench for skeleton-language learning (C²VL).

Importing the package is instant: nothing heavy is imported here. Import what is
needed from its own module, for example ``from c2vl_lab.data.store import SkeletonStore``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from c2vl_lab.sharing.estimator import load_encoder as load_encoder

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``c2vl_lab.load_encoder``, imported when it is asked for."""
    if name == "load_encoder":
        from c2vl_lab.sharing.estimator import load_encoder

        return load_encoder
    raise AttributeError(f"module 'c2vl_lab' has no attribute '{name}'")
