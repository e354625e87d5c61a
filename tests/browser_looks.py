"""What is seen on a page: contrast of its texts as WCAG 2 counts it, and the explorer's maps by jupyter-scatter."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

from benchmarks.browser import wait_for

NO_PICTURE = 81  # row of the vision point that clip 1 of the joint space lacks, behind 40 skeletons and 40 sentences
READ = """([selectors, swatches]) => {
  const rgba = (text) => { const v = text.match(/[\\d.]+/g).map(Number); return v.length < 4 ? [...v, 1] : v; };
  const over = (top, below) => [0, 1, 2].map((k) => top[k] * top[3] + below[k] * (1 - top[3]));
  const ground = (it) => {
    const layers = [];
    for (let at = it; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const rows = [];
  for (const selector of selectors) {
    const [own, pseudo] = selector.split("::");
    for (const it of document.querySelectorAll(own)) {
      const look = getComputedStyle(it, pseudo ? "::" + pseudo : null), below = ground(it);
      rows.push({ selector, text: over(rgba(look.color), below), below });
    }
  }
  for (const it of document.querySelectorAll(swatches)) {
    const text = rgba(getComputedStyle(it).backgroundColor).slice(0, 3);
    rows.push({ selector: swatches, text, below: ground(it.parentElement) });
  }
  return rows;
}"""
SCATTER = """
import json, os
from pathlib import Path
import numpy as np
from c2vl_lab.explorer.explorer import ConceptExplorer
many = ConceptExplorer(explorer.space, method="pca", engine="jupyter-scatter")
def tell_many(change=None):
    state = {"selection": many.selection["name"].tolist(), "by": many.widget.selected["by"], "dark": many.widget.dark}
    state["left"] = [] if many.scatter.sides[0].selection() is None else many.scatter.sides[0].selection().tolist()
    state["places"] = np.asarray(many.scatter.sides[1].widget.points)[:, :2].tolist()
    state["owner"] = many.scatter.owner.tolist()
    Path(".scatter").write_text(json.dumps(state))
    os.replace(".scatter", "scatter.json")
many.widget.observe(tell_many)
tell_many()
import ipywidgets
show, place = ipywidgets.Button(description="show many"), ipywidgets.VBox()
show.on_click(lambda _: setattr(place, "children", [many.view]))
ipywidgets.VBox([show, place])
"""


def luminance(rgb) -> float:
    """WCAG 2: relative luminance of an sRGB colour, 0 to 255."""
    share = np.asarray(rgb, float) / 255
    return float(np.where(share <= 0.03928, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def contrasts(page, selectors: list[str], swatches: str) -> dict[str, float]:
    """The least contrast of each selector's texts, and of the marks that ``swatches`` names, to what lies behind."""
    least: dict[str, float] = {}
    for row in page.evaluate(READ, [selectors, swatches]):
        low, high = sorted((luminance(row["text"]), luminance(row["below"])))
        least[row["selector"]] = min(least.get(row["selector"], 21.0), (high + 0.05) / (low + 0.05))
    return least


def picture(element) -> np.ndarray:
    """(H, W, 3) what an element looks like."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(element.screenshot())).convert("RGB")).astype(int)


def lasso_on_the_right_scatter_map(page, folder: Path) -> None:
    """Round the marks of one blob: Python has its clips, and the left map lights all their points."""

    def state():
        return json.loads((folder / "scatter.json").read_text())

    page.get_by_role("button", name="show many").click()
    canvases = page.locator(".jp-OutputArea-output canvas:not(.cx-over):not(.cx-marks):not(.cx-player)")

    def maps():
        """The left and the right map; a map has several canvases, and its legend small ones."""
        boxes = [(it.bounding_box() or {"x": 0, "height": 0}, it) for it in canvases.all()]
        found = sorted((box["x"], k) for k, (box, _) in enumerate(boxes) if box["height"] > 300)
        return [boxes[k][1] for _, k in (found[0], found[-1])] if len({x for x, _ in found}) == 2 else []

    left, right = wait_for(maps, "two maps by jupyter-scatter")
    left.scroll_into_view_if_needed()
    wait_for(lambda: state()["dark"], "the theme, as Python knows it")
    wait_for(lambda: picture(left)[-12, -12].sum() < 150, "the maps to be dark on a dark page", 60)
    before = picture(left)
    box = right.bounding_box()
    places, owner = np.array(state()["places"]), np.array(state()["owner"])
    corners = [f(places[:40][2::4], axis=0) + pad for f, pad in ((np.min, -0.05), (np.max, 0.05))]
    inside = ((places > corners[0]) & (places < corners[1])).all(axis=1) & (owner >= 0)
    inside[NO_PICTURE] = False
    wanted = np.unique(owner[inside])
    assert 2 <= len(wanted) < 40
    (x0, y0), (x1, y1) = corners
    unit = box["height"] / 2  # a map is wider than high and shows -1 to 1 of its height
    path = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    pixels = [(box["x"] + box["width"] / 2 + x * unit, box["y"] + unit - y * unit) for x, y in path]
    page.mouse.move(*pixels[0])
    page.mouse.down()
    for x, y in pixels[1:]:
        page.mouse.move(x, y, steps=6)
    page.mouse.up()
    wait_for(lambda: state()["selection"], "the lasso on the right map", 60)
    told = state()
    assert told["by"] == "jupyter-scatter, right map"
    assert len(told["selection"]) == len(wanted)
    assert set(told["left"]) == {int(row) for row in np.flatnonzero(np.isin(owner, wanted)) if row != NO_PICTURE}
    wait_for(lambda: np.abs(picture(left) - before).max(axis=2).mean() > 1, "the left map to light them", 30)
