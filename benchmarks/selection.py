"""Which map engine loses selections: ``python -m benchmarks.selection``.

A person lassos points 20 times in JupyterLab (Debian's Chromium, real mouse events) and after each lasso Python is
asked what is selected. The points lie in 20 blobs of two halves with gaps between, so that a lasso has one right answer
whatever the pixel. Five kinds of gesture take turns, four of each: another blob, the half of the blob that is
selected (so that the drag begins inside the selection), the same lasso again, a lasso after a click on a point, and a
lasso that ends on the pixel where it began. A gesture counts where Python holds exactly the right points within
``--patience`` seconds, and still a second later. Every lasso begins and ends well inside its map: a drag that begins
outside is no gesture of the map (an earlier form of this trial began some there, and counted three of 20 against
jupyter-scatter that were its own fault).

Two cores, software GL, a busy machine:

| engine | points | right in Python |
|---|---|---|
| plotly 7.1.0 | 5,000 | 6 of 20, and 8 in another run |
| plotly 7.1.0 | 50,000 | 12 of 20 |
| jupyter-scatter 1.0.1 | 5,000 | 20 of 20 |
| jupyter-scatter 1.0.1 | 50,000 | 20 of 20 |
| two linked maps of the explorer by jupyter-scatter 1.0.1 (left) | 5,000 | 20 of 20 |
| ours (anywidget 0.11.0) | 5,000 | 20 of 20 |
| ours (anywidget 0.11.0) | 50,000 | 20 of 20 |
| ours (anywidget 0.11.0) | 100,000 | 20 of 20 |

So plotly's FigureWidget cannot be relied on, and jupyter-scatter can. It was not taken for what it cannot show: its
one shader draws discs, so that skeletons, sentences, pictures and class prompts have no marks of their own, its legend
hides nothing, and it has no page that works without Python.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.browser import chromium, lab, notebook, run_notebook_in, wait_for, why_not
from c2vl_lab.explorer.scatter_maps import MARGIN

COLUMNS, ROWS = 5, 4
WIDE = 0.4  # of a lasso, from the middle of its blob, in steps of the grid
KINDS = ("another", "half of it", "the same", "after a click", "closed")
SIZE = 480  # pixels of a map

POINTS = """
import json, os, pathlib, threading, time
import numpy as np, pandas as pd
rng, count = np.random.default_rng(0), {count}
blob = np.arange(count) % 20
half = np.arange(count) // 20 % 2
x = blob % 5 + (2 * half - 1) * rng.uniform(0.05, 0.3, count)
y = blob // 5 + rng.uniform(-0.3, 0.3, count)
x, y = np.append(x, [-0.8, 4.8]), np.append(y, [-0.8, 3.8])  # two corners of no blob, farther out than any lasso
blob = np.append(blob, [0, 19])
"""
WATCH = """
def watch(state):
    last = None
    while True:
        now = sorted(int(i) for i in state())
        if now != last:
            pathlib.Path(".selected").write_text(json.dumps(now))
            os.replace(".selected", "selected.json")
            last = now
        time.sleep(0.05)
threading.Thread(target=watch, args=(state,), daemon=True).start()
"""
PLOTLY = """
import plotly.graph_objects as go
bare = {"visible": False}
layout = {"width": 480, "height": 480, "margin": dict.fromkeys("lrtb", 0), "dragmode": "lasso", "showlegend": False,
          "xaxis": bare | {"range": [-0.8, 4.8]}, "yaxis": bare | {"range": [-0.8, 3.8]}}
colors = {"color": blob, "size": 5}
shown = go.FigureWidget(go.Figure([go.Scattergl(x=x, y=y, mode="markers", marker=colors)], layout))
heard = {"points": []}
shown.data[0].on_selection(lambda trace, points, selector: heard.update(points=points.point_inds))
shown.data[0].on_deselect(lambda trace, points: heard.update(points=[]))
shown.data[0].on_click(lambda trace, points, state: None)
state = lambda: heard["points"]
"""
JSCATTER = """
import jscatter
table = pd.DataFrame({"x": x, "y": y, "blob": pd.Categorical(blob.astype(str))})
map = jscatter.Scatter(data=table, x="x", y="y", color_by="blob", width=480, height=480, axes=False)
map.mouse("lasso")
shown = map.show()
state = lambda: map.selection()
"""
OURS = """
from dataclasses import replace
from c2vl_lab.explorer.explorer import ConceptExplorer
from c2vl_lab.explorer.space import JointSpace
names = [str(k) for k in range(20)]
table = pd.DataFrame({"name": np.arange(count + 2).astype(str), "class": [names[k] for k in blob]})
some = np.random.default_rng(1).normal(size=(count + 2, 4)).astype(np.float32)
space = JointSpace(table, names, {"map": {"skeleton": some}}, "map")
shown = ConceptExplorer(space, method="pca", neighbours=2, engine="own")
grid = np.stack([x, y], axis=1).astype(np.float32)
shown.maps["map"] = replace(shown.maps["map"], coordinates={"skeleton": grid})
shown.widget.maps = [shown._map("map")] * 2
state = lambda: shown.selected
"""
LINKED = """
from c2vl_lab.explorer.explorer import ConceptExplorer
from c2vl_lab.explorer.space import JointSpace
from c2vl_lab.project import Projection
from unittest import mock
names = [str(k) for k in range(20)]
table = pd.DataFrame({"name": np.arange(count + 2).astype(str), "class": [names[k] for k in blob]})
grid = {"skeleton": np.stack([x, y], axis=1).astype(np.float32)}
made = {"map": Projection(grid, "pca", {}, 0, "none", 1.0, 1.0, 15)}
with mock.patch("c2vl_lab.explorer.state.aligned_maps", lambda *_: made):
    linked = ConceptExplorer(JointSpace(table, names, {"map": grid}, "map"), engine="jupyter-scatter")
linked.use_tool("lasso")
shown = linked.view
state = lambda: linked.selected
"""


@dataclass(frozen=True)
class Engine:
    """How one map is made and where on the page its points lie.

    Attributes:
        package: what it is of, for its version.
        cell: makes ``shown``, and ``state()``: the selected rows.
        area: CSS selector of the element that the points are drawn in.
        fills: whether the points' range is the whole element; else nine tenths of it, both axes by one scale.
        square: whether the element's height instead shows a square round the points with the explorer's margin.
    """

    package: str
    cell: str
    area: str
    fills: bool = True
    square: bool = False


ENGINES = {
    "plotly": Engine("plotly", PLOTLY, ".js-plotly-plot .nsewdrag"),
    "jupyter-scatter": Engine("jupyter-scatter", JSCATTER, ".jp-OutputArea-output canvas"),
    "ours": Engine("anywidget", OURS, ".cx-over", fills=False),
    "linked": Engine("jupyter-scatter", LINKED, ".jp-OutputArea-output canvas", fills=False, square=True),
}


@dataclass(frozen=True)
class Try:
    """One gesture: its kind, whether Python had the right points, after how many seconds."""

    kind: str
    right: bool
    seconds: float


def selections(engine: Engine, count: int, patience: float, picture: Path | None = None) -> list[Try]:
    """All gestures on one map of ``count`` points."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        notebook(folder / "map.ipynb", [POINTS.format(count=count), engine.cell + WATCH, "shown"])
        with lab(folder) as address, chromium() as browser:
            page = browser.new_page(viewport={"width": 1366, "height": 1100})
            page.set_default_timeout(30_000)
            run_notebook_in(page, address, "map.ipynb")
            page.wait_for_selector(engine.area, timeout=300_000)
            wait_for((folder / "selected.json").exists, "Python's word")
            area = page.locator(engine.area).first
            area.scroll_into_view_if_needed()
            time.sleep(2.0)
            frame = frame_of(area.bounding_box(), engine)
            found = [_try(page, frame, folder, count, patience, k) for k in range(20)]
            if picture:
                page.screenshot(path=picture)
    return found


def _try(page: Any, box: dict, folder: Path, count: int, patience: float, k: int) -> Try:
    """Gesture ``k``: draw it and wait for Python."""
    kind, blob, half = gesture(k)
    wanted = [i for i in range(count) if i % 20 == blob and (not half or i // 20 % 2)]
    if kind == "after a click":
        page.mouse.click(*pixel(box, blob % COLUMNS, blob // COLUMNS))
        time.sleep(0.3)
    path = [pixel(box, x, y) for x, y in lasso(blob, half, kind == "closed")]
    start = time.monotonic()
    page.mouse.move(*path[0])
    page.mouse.down()
    for x, y in path[1:]:
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
    told = folder / "selected.json"
    right, seconds = False, patience
    with contextlib.suppress(TimeoutError):
        wait_for(lambda: json.loads(told.read_text()) == wanted, "the selection", patience, 0.02)
        seconds = time.monotonic() - start
        time.sleep(1.0)  # a person looks at what is selected
        right = json.loads(told.read_text()) == wanted
    return Try(kind, right, seconds)


def gesture(k: int) -> tuple[str, int, bool]:
    """Kind of gesture ``k``, the blob it is at, and whether it takes its right half alone."""
    kind = KINDS[k % len(KINDS)]
    blob = (7 * (k // 5) + 3 * max(0, k % 5 - 2)) % 20  # the first three of a round are at one blob
    return kind, blob, kind in ("half of it", "the same")


def lasso(blob: int, half: bool, closed: bool) -> list[tuple[float, float]]:
    """Corners of a lasso round a blob, or round the right half of it and begun between the halves."""
    x, y = blob % COLUMNS, blob // COLUMNS
    left, right, low, high = (x if half else x - WIDE), x + WIDE, y - WIDE, y + WIDE
    around = [(left, low), (right, low), (right, high), (left, high)]
    return [(left, y), *around, (left, y if closed else y + 0.25)]


def frame_of(box: dict, engine: Engine) -> dict:
    """Where on the page the points' range lies."""
    if engine.fills:
        return box
    tight = min(box["width"] / 5.6, box["height"] / 4.6)
    unit = box["height"] / (5.6 * MARGIN) if engine.square else 0.9 * tight
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    return {"x": x - 2.8 * unit, "y": y - 2.3 * unit, "width": 5.6 * unit, "height": 4.6 * unit}


def pixel(box: dict, x: float, y: float) -> tuple[float, float]:
    """Where on the page a point of the grid is."""
    return box["x"] + box["width"] * (x + 0.8) / 5.6, box["y"] + box["height"] * (3.8 - y) / 4.6


def row(name: str, engine: Engine, count: int, tries: list[Try]) -> str:
    """One line of the table."""
    good = [one for one in tries if one.right]
    lost = Counter(one.kind for one in tries if not one.right)
    took = f"{statistics.median(one.seconds for one in good):.1f} s" if good else ""
    said = ", ".join(f"{kind}: {number}" for kind, number in lost.items())
    name = f"{name} (anywidget {version(engine.package)})" if name == "ours" else f"{name} {version(engine.package)}"
    return f"| {name} | {count:,} | {len(good)} of {len(tries)} | {took} | {said} |"


def main(arguments: list[str] | None = None) -> None:
    """Run the trial and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="*", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--points", nargs="*", type=int, default=[5_000, 50_000])
    parser.add_argument("--patience", type=float, default=20.0, help="seconds in which a selection must arrive")
    parser.add_argument("--pictures", type=Path, help="folder for a screenshot of each map after its last gesture")
    chosen = parser.parse_args(arguments)
    if reason := why_not():
        sys.exit(reason)
    print("| engine | points | right in Python | median, gesture included | lost |\n|---|---|---|---|---|")
    for name in chosen.engines:
        for count in chosen.points:
            picture = chosen.pictures / f"{name}-{count}.png" if chosen.pictures else None
            print(
                row(name, ENGINES[name], count, selections(ENGINES[name], count, chosen.patience, picture)), flush=True
            )
    print(f"\n{platform.machine()}, Python {platform.python_version()}; software GL where there is no GPU.")


if __name__ == "__main__":
    main()
