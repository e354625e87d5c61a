"""How the explorer's own maps feel with very many points: ``python -m benchmarks.frames``.

The explorer as a page (the script that JupyterLab runs, too) in Debian's Chromium: two linked maps of ``--points``
points each, clips as skeletons and sentences and the class prompts, in 60 classes. A real mouse does what one does:

- *frames*: while it hovers, moves a map, zooms, and draws a lasso, the frames that the browser shows are counted. 60 a
  second is as good as a screen gets; from 15 on, a movement is followed.
- *answers*: time from an action (a lasso's end, another colour, a class hidden, a search's hits, all forgotten) until
  both maps are drawn again, WebGL waited for. Up to 100 ms an answer seems instant, from 1 s on one waits.

``--renderer software`` draws on the CPU (SwiftShader), which is the worst case; ``gpu`` leaves the choice to Chromium.
The renderer that it took is printed. ``--size`` is the window.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

from benchmarks.browser import chromium, why_not
from c2vl_lab.explorer.explorer import ConceptExplorer
from c2vl_lab.explorer.space import JointSpace
from c2vl_lab.project import Projection

CLASSES = 60
SOFTWARE = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
SECONDS = 3.0  # of a movement
COUNTER = """() => {
  window.times = [];
  const tick = (now) => { window.times.push(now); requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
}"""
# An answer: from the call until the next frame has been made and WebGL has finished both maps
ANSWER = """async () => {
  const root = document.querySelector(".cx-root");
  const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const finish = () => document.querySelectorAll(".cx-marks").forEach((canvas) => {
    const gl = canvas.getContext("webgl2");
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  });
  await drawn(); finish();
  const start = performance.now();
  ACT
  const script = performance.now() - start;
  await drawn(); finish();
  return [performance.now() - start, script];
}"""
DRAG = """
  const over = document.querySelectorAll(".cx-over")[SIDE], box = over.getBoundingClientRect();
  const fire = (kind, x, y) => over.dispatchEvent(new PointerEvent(kind, { bubbles: true, pointerId: 1,
    clientX: box.left + x * box.width, clientY: box.top + y * box.height }));
  fire("pointerdown", 0.3, 0.3);
  for (const [x, y] of [[0.6, 0.3], [0.6, 0.6], [0.3, 0.6]]) fire("pointermove", x, y);
  fire("pointerup", 0.3, 0.35);
"""
ANSWERS = {
    "a lasso's selection": DRAG.replace("SIDE", "0"),
    "another colour": """const by = root.querySelector('.cx-color');
  by.value = by.value === 'class' ? 'subject' : 'class'; by.onchange();""",
    "a class hidden or shown": "root.querySelector('.cx-entry').onclick({ detail: 1 });",
    "a class prompt's hits": "const ask = root.querySelector('.cx-class'); ask.selectedIndex = 3; ask.onchange();",
    "all forgotten": "[...root.querySelectorAll('.cx-button')].find((b) => b.textContent.includes('Clear')).click();",
}


def explorer_of(points: int) -> ConceptExplorer:
    """A map of ``points`` points: skeleton and sentence of every clip, and the class prompts."""
    rng, clips = np.random.default_rng(0), (points - CLASSES) // 2
    labels = np.arange(clips) % CLASSES
    centers = rng.uniform(-10, 10, (CLASSES, 2))
    views, maps = {}, {}
    for spread, view in ((1.6, "before training"), (0.6, "after training")):
        flat = {m: centers[labels] + rng.normal(0, spread, (clips, 2)) for m in ("skeleton", "language")}
        flat = {name: rows.astype(np.float32) for name, rows in (flat | {"class prompt": centers}).items()}
        views[view] = flat
        maps[view] = Projection(flat, "umap", {}, 0, "none", 1.0, 1.0, 15)
    table = pd.DataFrame({"name": [f"clip {k}" for k in range(clips)], "class": [f"class {k}" for k in labels]})
    table["subject"] = (np.arange(clips) % 40 + 1).astype(str)
    classes = [f"class {k}" for k in range(CLASSES)]
    space = JointSpace(table, classes, views, "after training", list(views), note="made points, no recordings")
    with mock.patch("c2vl_lab.explorer.state.aligned_maps", lambda *_: maps):
        return ConceptExplorer(space, engine="own")


def hover(mouse: Any, box: dict, at: float) -> None:
    """Wander over a map."""
    mouse.move(*_spot(box, 0.5 + 0.35 * np.cos(5 * at), 0.5 + 0.35 * np.sin(3 * at)))


def move(mouse: Any, box: dict, at: float) -> None:
    """Drag a map to and fro."""
    mouse.move(*_spot(box, 0.5 + 0.2 * np.sin(4 * at), 0.5 + 0.2 * np.sin(3 * at)))


def zoom(mouse: Any, box: dict, at: float) -> None:
    """Turn the wheel, in and out."""
    mouse.wheel(0, -40 if np.sin(4 * at) > 0 else 40)


def draw(mouse: Any, box: dict, at: float) -> None:
    """Draw round and round."""
    mouse.move(*_spot(box, 0.5 + 0.3 * np.cos(4 * at), 0.5 + 0.3 * np.sin(4 * at)))


def _spot(box: dict, x: float, y: float) -> tuple[float, float]:
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def frames(page: Any, tool: str, step: Callable[[Any, dict, float], None]) -> tuple[float, float]:
    """(frames a second, longest pause in ms) while a mouse moves on the left map."""
    if tool:
        page.locator(f"[data-tool={tool}].cx-button").click()
    box = page.locator(".cx-over").first.bounding_box()
    page.mouse.move(*_spot(box, 0.5, 0.5))
    if tool:
        page.mouse.down()
    page.evaluate("() => { window.times.length = 0; }")
    start = time.monotonic()
    while (at := time.monotonic() - start) < SECONDS:
        step(page.mouse, box, at)
    times = page.evaluate("() => window.times")
    if tool:
        page.mouse.up()
    gaps = np.diff(times)
    return 1000.0 * len(gaps) / float(gaps.sum()), float(gaps.max())


def measure(points: int, size: tuple[int, int], renderer: str, picture: Path | None, repeats: int) -> None:
    """Print the table of one number of points."""
    flags = SOFTWARE if renderer == "software" else ()
    with tempfile.TemporaryDirectory() as folder, chromium(flags) as browser:
        path = explorer_of(points).to_html(Path(folder) / "maps.html", clips=[0, 1])
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.set_default_timeout(120_000)
        start = time.monotonic()
        page.goto(path.as_uri())
        page.wait_for_selector(".cx-entry")
        opened = time.monotonic() - start
        page.evaluate(COUNTER)
        drawn_by = page.evaluate("""() => {
          const gl = document.querySelector(".cx-marks").getContext("webgl2");
          const told = gl.getExtension("WEBGL_debug_renderer_info");
          return told ? gl.getParameter(told.UNMASKED_RENDERER_WEBGL) : "not told";
        }""")
        print(f"\n{points:,} points a map, two maps, window {size[0]} x {size[1]}; {drawn_by}\n")
        print(f"page of {path.stat().st_size / 1e6:.1f} MB open after {opened:.1f} s\n")
        print("| movement | frames a second | longest pause |\n|---|---|---|")
        idle = frames(page, "", lambda mouse, box, at: time.sleep(0.05))
        for name, tool, step in (
            ("hover", "", hover),
            ("move", "pan", move),
            ("zoom", "", zoom),
            ("lasso", "lasso", draw),
        ):
            rate, pause = frames(page, tool, step)
            print(f"| {name} | {rate:.0f} | {pause:.0f} ms |", flush=True)
            page.keyboard.press("Escape")
        print(f"| nothing (what the machine can show) | {idle[0]:.0f} | {idle[1]:.0f} ms |")
        print("\n| answer | median | worst | of it script |\n|---|---|---|---|")
        for name, act in ANSWERS.items():
            took, script = zip(*(page.evaluate(ANSWER.replace("ACT", act)) for _ in range(repeats)), strict=True)
            own = [statistics.median(took), max(took), statistics.median(script)]
            print(f"| {name} | {' | '.join(f'{value:.0f} ms' for value in own)} |")
        if picture:
            page.evaluate(ANSWER.replace("ACT", ANSWERS["a lasso's selection"]))
            page.screenshot(path=picture)


def main(arguments: list[str] | None = None) -> None:
    """Print a table for each number of points."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", nargs="*", type=int, default=[10_000, 100_000])
    parser.add_argument("--size", nargs=2, type=int, default=[1366, 900], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--renderer", choices=("gpu", "software"), default="software")
    parser.add_argument("--repeats", type=int, default=7, help="of every answer")
    parser.add_argument("--picture", type=Path, help="where a screenshot goes")
    chosen = parser.parse_args(arguments)
    if reason := why_not():
        raise SystemExit(reason)
    for points in chosen.points:
        measure(points, tuple(chosen.size), chosen.renderer, chosen.picture, chosen.repeats)


if __name__ == "__main__":
    main()
