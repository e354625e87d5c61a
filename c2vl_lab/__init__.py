"""c2vl_lab: an interactive research workbench for skeleton-language learning (C²VL).

Importing the package is instant: nothing heavy is imported here. Import what is
needed from its own module, for example ``from c2vl_lab.data.store import SkeletonStore``.
"""

__version__ = "0.1.0"
