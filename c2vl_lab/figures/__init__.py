"""Figures for papers: one style, the widths of the venues, the data behind each figure beside it.

Every function returns a :class:`~c2vl_lab.figures.canvas.PaperFigure`, a matplotlib figure; :func:`save` writes it as
PDF, SVG and PNG with a small file of its data, :func:`redraw` makes it again from that file, :func:`twin` gives the
interactive ones as plotly figures.
"""

from c2vl_lab.figures.bars import ablation_bars, protocol_dots
from c2vl_lab.figures.canvas import VENUES, Look, PaperFigure
from c2vl_lab.figures.classes import class_gains, confusion_matrix, per_class
from c2vl_lab.figures.curves import purity_curves, training_curves
from c2vl_lab.figures.data import class_balance, crossing_map, lengths_histogram, tracking_gaps
from c2vl_lab.figures.heat import similarity_matrices, soft_targets
from c2vl_lab.figures.maps import joint_map, map_pair, save_map
from c2vl_lab.figures.saving import redraw, save
from c2vl_lab.figures.strips import Hit, film_strip, retrieval_gallery
from c2vl_lab.figures.twins import twin

__all__ = [
    "VENUES",
    "Hit",
    "Look",
    "PaperFigure",
    "ablation_bars",
    "class_balance",
    "class_gains",
    "confusion_matrix",
    "crossing_map",
    "film_strip",
    "joint_map",
    "lengths_histogram",
    "map_pair",
    "per_class",
    "protocol_dots",
    "purity_curves",
    "redraw",
    "retrieval_gallery",
    "save",
    "save_map",
    "similarity_matrices",
    "soft_targets",
    "tracking_gaps",
    "training_curves",
    "twin",
]
