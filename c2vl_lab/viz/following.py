"""Watch a run while it trains, from its files alone: curves, how far it is, and a button that asks it to stop.

Whoever trains, this kernel, another notebook or a command, writes ``metrics.jsonl`` and ``status.json``; whoever
follows reads them. The button writes a file ``STOP``, which training answers with a checkpoint and an orderly end. A
kernel that itself trains hears no buttons until it has done so; Jupyter's interrupt does the same there.
"""

from __future__ import annotations

import os
import time
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd
import plotly.graph_objects as go

from c2vl_lab.logs import METRICS, STATUS, STOP, read_metrics, read_status
from c2vl_lab.viz import theme
from c2vl_lab.viz.desk_tables import Line
from c2vl_lab.viz.live import LiveView
from c2vl_lab.viz.log_columns import BESIDE, loss_terms

PANELS = ("loss", *BESIDE)
COLUMNS = 3


class Follower(LiveView):
    """Live curves of one run.

    Attributes:
        run_dir: the run's folder; it need not be there yet.
        curves: the plotly figure, a panel each for the loss with its terms and for what goes with it.
        view: the widget that a notebook shows.
    """

    def __init__(self, run_dir: str | Path):
        self.run_dir = Path(run_dir)
        self.head, self.message = widgets.HTML(), widgets.HTML()
        self.stop = widgets.Button(description="Stop", icon="stop", tooltip="Checkpoint after the batch, then end")
        self.stop.on_click(lambda _: self.ask_to_stop())
        self.curves = go.FigureWidget(layout=_layout())
        super().__init__(widgets.VBox([widgets.HBox([self.stop, self.head]), self.message, self.curves]))
        self._seen: tuple[Any, ...] = ()
        self.refresh()

    def refresh(self) -> None:
        """Read the files and show what they say; curves are sent to the browser only when there is a new row."""
        status = read_status(self.run_dir)
        self.head.value = status_line(status)
        runs, here = status.get("state") == "running", status.get("pid") == os.getpid()
        self.stop.disabled = not runs or here
        if not runs:
            self.message.value = ""
        elif here:
            self.message.value = "This kernel trains: interrupt it (&#9632;) to stop. A checkpoint comes first."
        try:
            about = os.stat(self.run_dir / METRICS)
        except OSError:
            return
        seen = (about.st_mtime_ns, about.st_size, about.st_ino)
        if seen != self._seen:
            self._seen = seen
            self._draw(pd.DataFrame(read_metrics(self.run_dir / METRICS)))

    def ask_to_stop(self) -> None:
        """Write the file that training looks for; it is followed within a second or a batch. Nothing, if none runs."""
        if read_status(self.run_dir).get("state") != "running":
            self.message.value = "Nothing trains here, so there is nothing to stop."
            return
        try:
            (self.run_dir / STOP).touch()
        except OSError as error:
            self.message.value = f"{escape(str(self.run_dir / STOP))} cannot be written: {error.strerror}."
            return
        self.message.value = "Asked to stop. A checkpoint comes first; the same command goes on from there."

    def _draw(self, table: pd.DataFrame) -> None:
        """All curves, with the rows that are there now."""
        lines = _lines(table) if len(table) else []
        names = [line["name"] for line in lines]
        if names != [trace.name for trace in self.curves.data]:
            self.curves.data = []
            self.curves.add_traces([go.Scatter(**line) for line in lines])
            return
        with self.curves.batch_update():
            for trace, line in zip(self.curves.data, lines, strict=True):
                trace.x, trace.y = line["x"], line["y"]


def follow_run(run_dir: str | Path) -> Follower | Line:
    """Live curves of a run in Jupyter; elsewhere, as in an executed report, a line in their place.

    Args:
        run_dir: the run's folder; training may begin later, or go on in another process.
    """
    if "JPY_SESSION_NAME" in os.environ:  # Jupyter's server names its sessions, see theme.setup
        return Follower(run_dir)
    return Line("The curves move here while training runs, when the notebook is opened in Jupyter.")


def status_line(status: dict[str, Any]) -> str:
    """How a run is, as one line of HTML, from what :func:`c2vl_lab.logs.read_status` found."""
    if not status:
        return f"Nothing trains here yet (no {STATUS})."
    state = str(status.get("state"))
    words = {"killed": "killed: its process is gone; the same command goes on from the last checkpoint"}
    parts = [
        f"<b>{escape(words.get(state, state))}</b>",
        f"epoch {_number(status, 'epoch')}/{_number(status, 'epochs')}",
    ]
    if status.get("step"):
        parts.append(f"batch {_number(status, 'step')}/{_number(status, 'batches')} of the next")
    if state == "running":
        terms = status.get("terms")
        loss = terms.get("loss") if isinstance(terms, dict) else None
        parts += [f"loss so far {loss:.4f}"] if isinstance(loss, float) else []
        parts += [f"{_number(status, 'clips_per_second')} clips/s", f"{_clock(status.get('seconds_left'))} left"]
        silent = time.time() - float(status.get("time") or 0)
        parts += [f"silent for {_clock(silent)}"] if silent > 60 else []
    if status.get("error"):
        parts.append(escape(str(status["error"])))
    return " &middot; ".join(parts)


def _number(status: dict[str, Any], name: str) -> str:
    value = status.get(name)
    return f"{value:,.0f}" if isinstance(value, (int, float)) else "?"


def _clock(seconds: Any) -> str:
    """Seconds as people say them."""
    if not isinstance(seconds, (int, float)):
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _lines(table: pd.DataFrame) -> list[dict[str, Any]]:
    """One trace a column: the loss and its terms in the first panel, the others each in its own."""
    terms = loss_terms(table)
    lines = [_line(table, "loss", 0, theme.ACCENT, legend=bool(terms))]
    lines += [_line(table, t, 0, c, legend=True) for t, c in zip(terms, theme.class_colors(len(terms)), strict=True)]
    return lines + [_line(table, name, PANELS.index(name), theme.MIDDLE) for name in BESIDE if name in table]


def _line(table: pd.DataFrame, column: str, panel: int, color: str, legend: bool = False) -> dict[str, Any]:
    """A column over the epochs; epochs in which it was not measured are left out."""
    values = BESIDE.get(column, ("", 1))[1] * table.set_index("epoch")[column].astype(float).dropna()
    few = len(values) < max(2, len(table))
    return {
        "x": values.index.tolist(),
        "y": values.tolist(),
        "name": column,
        "mode": "lines+markers" if few else "lines",
        "line": {"color": color, "width": 2 if column == "loss" else 1.4},
        "showlegend": legend,
        "xaxis": f"x{panel + 1}",
        "yaxis": f"y{panel + 1}",
    }


def _layout() -> dict[str, Any]:
    """Panels in rows of three, each with its heading."""
    rows = -(-len(PANELS) // COLUMNS)
    layout: dict[str, Any] = {
        "height": 230 * rows,
        "margin": {"l": 50, "r": 10, "t": 30, "b": 40},
        "legend": {"x": 0.29, "y": 1, "xanchor": "right", "bgcolor": "rgba(255,255,255,0.6)", "font": {"size": 10}},
        "annotations": [],
    }
    for panel, name in enumerate(PANELS):
        row, column = divmod(panel, COLUMNS)
        left, top = column / COLUMNS, 1 - row / rows
        wide, high = [left + 0.03, left + 1 / COLUMNS - 0.03], [top - 1 / rows + 0.12, top - 0.05]
        layout[f"xaxis{panel + 1}"] = {"domain": wide, "anchor": f"y{panel + 1}", "title": "epoch" if row else ""}
        layout[f"yaxis{panel + 1}"] = {"domain": high, "anchor": f"x{panel + 1}"}
        heading = {"text": BESIDE[name][0] if name in BESIDE else "loss and its terms", "showarrow": False}
        place = {"x": wide[0], "y": high[1], "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
        layout["annotations"].append(heading | place)
    return layout
