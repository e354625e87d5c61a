"""A widget that is kept up to date by a thread of its own, for as long as its notebook's kernel lives."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

import ipywidgets as widgets

PAUSE = 1.0  # seconds between two looks at the files


class LiveView(ABC):
    """What a notebook shows of files that change.

    Attributes:
        view: the widget that a notebook shows.
    """

    def __init__(self, view: widgets.Widget):
        self.view = view
        self._ended = threading.Event()

    @abstractmethod
    def refresh(self) -> None:
        """Read the files and show what they say."""

    def _ipython_display_(self) -> None:
        """Show the widget in a notebook, and keep it up to date from then on."""
        from IPython.display import display

        display(self.view)
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self, pause: float = PAUSE) -> None:
        """Look at the files again and again, until :meth:`close`."""
        while not self._ended.wait(pause):
            self.refresh()

    def close(self) -> None:
        """Look no more; what is shown stays as it is."""
        self._ended.set()
