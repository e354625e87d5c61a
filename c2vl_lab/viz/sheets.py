"""Pictures side by side, as a teacher is shown them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from c2vl_lab.errors import DataError
from c2vl_lab.viz import theme


def contact_sheet(pictures: Sequence[np.ndarray], title: str = "") -> Figure:
    """A row of pictures.

    Args:
        pictures: uint8 (H, W, 3) each, in the order of time; sizes may differ.
        title: heading of the figure.

    Raises:
        DataError: there are none.
    """
    if not len(pictures):
        raise DataError("A contact sheet wants at least one picture.")
    figure = Figure(figsize=(theme.PAGE_WIDTH, theme.PAGE_WIDTH / max(4, len(pictures)) + 0.3), layout="constrained")
    for axes, picture in zip(np.atleast_1d(figure.subplots(1, len(pictures))), pictures, strict=True):
        axes.imshow(picture)
        axes.set_axis_off()
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize="medium", parse_math=False)
    return figure
