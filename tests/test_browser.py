"""The explorer in a real browser: JupyterLab on loopback, real mouse and keys, and the saved page without a network.

One test a page, so that a worker of pytest-xdist starts one server and no more.
"""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import numpy as np
import pytest
from browser_looks import contrasts
from spaces import CLASSES, EVIL, joint_space

from benchmarks import frames
from benchmarks.browser import chromium, lab, notebook, run_notebook_in, wait_for, why_not

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]

CELL = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from spaces import joint_space
from c2vl_lab.explorer.explorer import ConceptExplorer
explorer = ConceptExplorer(joint_space(Path("space")), method="pca")
explorer.select([1, 2])
def tell(change=None):
    names = ("left", "right", "color_by", "filters", "shown", "focus", "tool", "message")
    state = {{name: getattr(explorer.widget, name) for name in names}}
    state |= {{"told": explorer.told, "selection": explorer.selection["name"].tolist()}}
    state |= {{"found": explorer.found.to_dict("list")}}
    Path(".state").write_text(json.dumps(state))
    os.replace(".state", "state.json")
explorer.widget.observe(tell)
tell()
explorer
"""


class Page:
    """A page with an explorer, and what goes wrong on it."""

    def __init__(self, page, folder: Path):
        self.page, self.folder, self.errors = page, folder, []
        page.set_default_timeout(90_000)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def state(self) -> dict:
        return json.loads((self.folder / "state.json").read_text())

    def until(self, done, what: str) -> dict:
        """Python's state, as soon as it is as wanted."""
        try:
            wait_for(lambda: done(self.state()), what, 60)
        except TimeoutError as error:
            raise AssertionError(f"{error} Python has {self.state()}") from None
        return self.state()

    def plane(self, side: int):
        return self.page.locator(".cx-over").nth(side)

    def drag(self, side: int, corners) -> None:
        """Draw round pixels of a map."""
        box = self.plane(side).bounding_box()
        x, y = box["x"], box["y"]
        self.page.mouse.move(x + corners[0][0], y + corners[0][1])
        self.page.mouse.down()
        for px, py in corners[1:]:
            self.page.mouse.move(x + px, y + py, steps=3)
        self.page.mouse.up()

    def colored(self, side: int) -> np.ndarray:
        """(H, W) alpha of the marks of a map, as WebGL drew them."""
        from PIL import Image

        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        address = self.page.locator(".cx-marks").nth(side).evaluate("canvas => canvas.toDataURL()")
        import base64

        return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGBA"))[..., 3]

    def untouched(self) -> None:
        """Nothing on the page failed, and no text became markup."""
        assert not self.errors, self.errors
        assert self.page.evaluate("() => window.hit") is None, "a caption was run as a script"
        assert self.page.locator("img[src='x']").count() == 0, "a caption became an element"


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return joint_space(tmp_path_factory.mktemp("space"))


def pixels(explorer_maps, view: str, plane) -> dict[str, np.ndarray]:
    """Where the points of a map should be, in pixels of its plane: centred, nine tenths of the tighter side."""
    flat = explorer_maps[view].coordinates
    every = np.concatenate([rows[np.isfinite(rows).all(axis=1)] for rows in flat.values()])
    low, high = every.min(axis=0), every.max(axis=0)
    box = plane.bounding_box()
    unit = 0.9 * min(box["width"] / (high - low)[0], box["height"] / (high - low)[1])
    middle = (low + high) / 2
    signs = np.array([unit, -unit])
    return {m: np.array([box["width"], box["height"]]) / 2 + (rows - middle) * signs for m, rows in flat.items()}


def around(points: np.ndarray, pad: float = 12.0) -> list[tuple[float, float]]:
    """A lasso round points."""
    (x0, y0), (x1, y1) = points.min(axis=0) - pad, points.max(axis=0) + pad
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0 + 3)]


def inside(places: dict[str, np.ndarray], corners, names: list[str]) -> list[str]:
    """Names of the clips that have a point inside the corners' box."""
    (x0, y0), (x1, y1) = np.min(corners, axis=0), np.max(corners, axis=0)
    hit = [
        (rows[:, 0] > x0) & (rows[:, 0] < x1) & (rows[:, 1] > y0) & (rows[:, 1] < y1)
        for modality, rows in places.items()
        if modality != "class prompt"
    ]
    return [name for name, chosen in zip(names, np.any(hit, axis=0), strict=True) if chosen]


def fill(alpha: np.ndarray) -> float:
    """Which share of its own box a mark fills, in the middle of all marks that stand alone."""
    from scipy import ndimage

    found, count = ndimage.label(alpha > 128)
    boxes = ndimage.find_objects(found)
    shares = [(found[box] == k + 1).mean() for k, box in enumerate(boxes) if found[box].shape[0] > 4]
    assert count > 8 and shares, f"{count} marks"
    return float(np.median(shares))


def poses(page) -> int:
    """How many different pictures the clicked clip's player draws in a while."""
    look = """(canvas) => new Promise((done) => {
      const seen = new Set(), end = performance.now() + 3000;
      const step = () => {
        seen.add(canvas.toDataURL());
        if (seen.size > 3 || performance.now() > end) done(seen.size); else setTimeout(step, 40);
      };
      step();
    })"""
    return page.locator(".cx-stage .cx-player").evaluate(look)


def test_in_jupyterlab(space, tmp_path):
    from c2vl_lab.explorer.explorer import ConceptExplorer

    maps = ConceptExplorer(space, method="pca").maps
    notebook(tmp_path / "explorer.ipynb", [CELL.format(tests=str(Path(__file__).parent))])
    with lab(tmp_path) as address, chromium() as browser:
        at = Page(browser.new_page(viewport={"width": 1366, "height": 1000}), tmp_path)
        page = at.page
        run_notebook_in(page, address, "explorer.ipynb")
        page.wait_for_selector(".cx-over")
        page.locator(".cx-root").scroll_into_view_if_needed()
        assert page.locator(".cx-count").inner_text() == "selected 2 of 40", "what Python selected stands there"
        tools = page.locator(".cx-tools .cx-button")
        assert all(tools.nth(k).is_visible() for k in range(5))
        page.get_by_title("select nothing").click()
        at.until(lambda s: not s["selection"], "the selection to be empty")
        assert page.locator(".cx-count").inner_text() == "nothing selected yet"
        _marks(at)
        _selections(at, maps, space)
        _clip(at, maps, space)
        _searches(at)
        _colors_and_slider(at)
        _dark(at)
        at.untouched()


def _marks(at: Page) -> None:
    """Each modality has its own mark: of their boxes circles fill most, diamonds half, squares all."""
    at.page.locator(".cx-links").uncheck()
    shares = {}
    kinds = at.page.locator(".cx-panel").first.locator(".cx-kind")
    names = [name.strip() for name in kinds.all_inner_texts()]
    for name in names[:3]:
        for other in range(4):
            wanted, button = names[other] == name, kinds.nth(other)
            if (button.get_attribute("aria-pressed") == "true") != wanted:
                button.click()
        at.until(lambda s, name=name: s["shown"][0] == [name], f"{name} alone")
        shares[name] = fill(at.colored(0))
    assert shares["language"] < 0.62 < shares["skeleton"] < 0.87 < shares["vision"], shares
    for other in range(4):
        if kinds.nth(other).get_attribute("aria-pressed") == "false":
            kinds.nth(other).click()
    at.until(lambda s: len(s["shown"][0]) == 4, "all modalities")


def _selections(at: Page, maps, space) -> None:
    """A lasso on the left and a box on the right: Python has the very clips, and the other map dims the rest."""
    places = pixels(maps, "before training", at.plane(0))
    corners = around(places["skeleton"][[3, 7]])
    wanted = inside(places, corners, space.names)
    assert 2 <= len(wanted) < 40
    bright = (at.colored(1) > 150).sum()
    at.drag(0, corners)
    at.until(lambda s: s["selection"] == wanted, f"{len(wanted)} clips")
    assert at.page.locator(".cx-count").inner_text() == f"selected {len(wanted)} of 40"
    assert 0 < (at.colored(1) > 150).sum() < bright, "the other map lights the same clips and dims the others"
    at.page.locator("[data-tool=box]").first.click()
    at.until(lambda s: s["tool"] == "box", "the box")
    places = pixels(maps, "after training", at.plane(1))
    corners = around(places["skeleton"][2::4])
    wanted = inside(places, corners, space.names)
    at.drag(1, [corners[0], corners[2]])
    at.until(lambda s: s["selection"] == wanted, "the box's clips")
    at.page.locator(".cx-subset-name").fill("mine")
    at.page.locator(".cx-act-subset").click()
    at.until(lambda s: "mine.json" in s["message"]["text"], "the subset")
    at.page.get_by_title("select nothing").click()
    at.until(lambda s: not s["selection"], "the selection to be empty")


def _clip(at: Page, maps, space) -> None:
    """A click opens the clip: hostile names and sentences are text, and its skeleton moves."""
    x, y = pixels(maps, "before training", at.plane(0))["skeleton"][0]
    at.plane(0).hover(position={"x": x, "y": y})
    assert at.page.locator(".cx-tip b").inner_text().startswith("clip ")
    at.plane(0).click(position={"x": x, "y": y})
    clip = at.until(lambda s: s["focus"] >= 0, "a clip")["focus"]
    at.page.wait_for_selector(".cx-name")
    assert at.page.locator(".cx-name").inner_text() == space.names[clip]
    assert at.page.locator(".cx-said li").nth(1).inner_text() == f"Second {EVIL}."
    assert at.page.locator(".cx-neighbour").count() == 15
    assert poses(at.page) > 3
    at.page.locator(".cx-neighbour").first.click()
    at.until(lambda s: s["focus"] not in (clip, -1), "the neighbour")


def _searches(at: Page) -> None:
    """Words, then what cannot be found, then a class prompt."""
    at.page.locator(".cx-query").fill("they throw something")
    at.page.locator(".cx-query").press("Enter")
    found = at.until(lambda s: s["found"]["class"][:5] == ["throw"] * 5, "what was searched for")["found"]
    lines = at.page.locator(".cx-hit")
    wait_for(lambda: lines.count() == 20, "the list", 30)
    assert lines.first.locator("span").inner_text() == found["name"][0]
    assert lines.first.locator("b").inner_text() == f"{found['score'][0]:.3f}"
    at.page.locator(".cx-query").fill("nothing")
    at.page.locator(".cx-query").press("Enter")
    wait_for(lambda: "No idea" in at.page.locator(".cx-message").inner_text(), "the refusal", 30)
    at.page.locator(".cx-class").select_option(CLASSES[3])
    at.until(lambda s: s["found"]["class"][:5] == [CLASSES[3]] * 5, "the class prompt's clips")
    title = at.page.locator(".cx-hits .cx-title")
    wait_for(lambda: title.inner_text() == f"class prompt: {CLASSES[3]}", "its heading", 30)


def _colors_and_slider(at: Page) -> None:
    """The colour, a hidden category, and an earlier state of training."""
    at.page.get_by_title("select nothing").click()
    at.page.locator(".cx-color").select_option("right")
    at.until(lambda s: s["color_by"] == "right", "the colour")
    entries = at.page.locator(".cx-entry")
    assert [entries.nth(k).get_attribute("data-name") for k in range(entries.count())] == ["right", "wrong"]
    before = (at.colored(1) > 0).sum()
    entries.first.click()
    at.until(lambda s: s["filters"] == {"right": ["right"]}, "the filter")
    assert 0 < (at.colored(1) > 0).sum() < before / 2, "hidden clips are not drawn"
    at.page.locator(".cx-chip").click()
    at.until(lambda s: s["filters"] == {}, "no filter")
    old = at.colored(0)
    at.page.locator(".cx-slider").focus()
    at.page.keyboard.press("ArrowRight")
    at.until(lambda s: s["left"] == "epoch 5", "the slider")
    wait_for(lambda: at.page.locator(".cx-view").first.input_value() == "epoch 5", "the map", 30)
    time.sleep(0.8)  # points glide to their places
    assert (at.colored(0) != old).any()


def _dark(at: Page) -> None:
    """Every text is legible in JupyterLab's light theme and in its dark one, and so are the colours of the classes."""
    at.page.locator(".cx-color").select_option("class")
    at.page.locator(".cx-class").select_option(CLASSES[2])
    at.page.locator(".cx-hit").first.wait_for()
    at.page.evaluate("() => document.querySelector('.cx-same').classList.replace('cx-same', 'cx-other')")
    texts = [".cx-tools .cx-button", ".cx-count", ".cx-query", ".cx-query::placeholder", ".cx-view", ".cx-kind"]
    texts += [".cx-entry", ".cx-entry b", ".cx-quality", ".cx-hit i", ".cx-hit em", ".cx-pill", ".cx-same", ".cx-other"]
    texts += [".cx-quote", ".cx-said li", ".cx-subset-name", ".cx-note", ".cx-message"]
    at.until(lambda s: s["color_by"] == "class", "the colour")
    for theme in ("Light", "Dark"):
        change = "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
        at.page.evaluate(change, f"JupyterLab {theme}")
        is_dark = at.page.locator(".cx-root.cx-dark").first
        wait_for(lambda is_dark=is_dark, theme=theme: is_dark.is_visible() == (theme == "Dark"), f"the {theme} theme")
        seen = contrasts(at.page, texts, ".cx-entry i")
        assert set(seen) == {*texts, ".cx-entry i"}, "each of them is on the page"
        swatch = seen.pop(".cx-entry i")
        assert min(seen.values()) >= 4.5, f"{theme}: {seen}"
    assert swatch >= 3, f"dark class colours stand out from a dark page: {swatch}"


def test_the_saved_page_without_a_network(space, tmp_path):
    from c2vl_lab.explorer.explorer import ConceptExplorer

    explorer = ConceptExplorer(space, method="pca")
    path = explorer.to_html(tmp_path / "page.html", clips=[0, 2, 6], searches=["they throw something"], title=EVIL)
    with chromium() as browser:
        context = browser.new_context(offline=True, viewport={"width": 1366, "height": 900}, accept_downloads=True)
        at = Page(context.new_page(), tmp_path)
        page, asked = at.page, []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector(".cx-over")
        assert page.locator("h1").inner_text() == EVIL
        assert (at.colored(0) > 0).sum() > 500 and (at.colored(1) > 0).sum() > 500
        places = pixels(explorer.maps, "after training", at.plane(1))
        corners = around(places["skeleton"][2::4])
        wanted = inside(places, corners, space.names)
        at.drag(1, corners)
        count = page.locator(".cx-count")
        wait_for(lambda: count.inner_text() == f"selected {len(wanted)} of 40", "the count", 30)
        with page.expect_download() as download:
            page.get_by_role("button", name="Save selection").click()
        assert Path(download.value.path()).read_text().count("\n") == len(wanted) + 1
        page.locator(".cx-query").fill("THROW it")
        page.locator(".cx-query").press("Enter")
        wait_for(lambda: page.locator(".cx-hit em").first.inner_text() == "throw", "the prepared search", 30)
        page.locator(".cx-query").fill("xylophone")
        page.locator(".cx-query").press("Enter")
        wait_for(lambda: "Not among" in page.locator(".cx-message").inner_text(), "the refusal", 30)
        at.page.get_by_title("select nothing").click()
        x, y = pixels(explorer.maps, "before training", at.plane(0))["skeleton"][0]
        at.plane(0).hover(position={"x": x, "y": y})
        page.wait_for_selector(".cx-tip b")
        page.locator(".cx-view").first.select_option("epoch 5")
        page.locator(".cx-class").select_option(CLASSES[2])
        page.locator(".cx-hit").first.wait_for()
        page.evaluate(
            "() => [...document.querySelectorAll('.cx-hit')].find(h => h.innerText.includes('clip 6')).click()"
        )
        page.wait_for_selector(".cx-name")
        assert page.locator(".cx-name").inner_text() == "clip 6"
        assert poses(page) > 3
        assert page.locator(".cx-said li").nth(1).inner_text() == f"Second {EVIL}."
        at.untouched()
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_a_map_of_very_many_points_that_moves_shows_all_of_them_again(tmp_path):
    """Without a graphics card a moving map thins its points; at rest it is what it was before."""
    path = frames.explorer_of(30_060).to_html(tmp_path / "page.html", clips=[0])
    with chromium(frames.SOFTWARE) as browser:
        at = Page(browser.new_page(viewport={"width": 1366, "height": 900}), tmp_path)
        at.page.goto(path.as_uri())
        at.page.wait_for_selector(".cx-over")
        # slow frames on any machine: each one waits in the script, so that the thinning has to set in
        at.page.evaluate(
            """() => {
              window.drawn = [];
              const own = WebGL2RenderingContext.prototype.drawElements;
              WebGL2RenderingContext.prototype.drawElements = function (mode, count, ...rest) {
                if (mode === this.POINTS) {
                  window.drawn.push(count);
                  const end = performance.now() + 30;
                  while (performance.now() < end);
                }
                return own.call(this, mode, count, ...rest);
              };
            }"""
        )
        at.page.locator("[data-tool=pan].cx-button").click()
        before = at.colored(0)
        at.drag(0, [(200, 200), *[(200 + 8 * (k % 5), 200) for k in range(30)], (200, 200)])
        time.sleep(0.5)
        drawn = at.page.evaluate("() => window.drawn")
        assert min(drawn[::2]) < 15_000 < 30_000 == drawn[-2], drawn  # parts: all points, then the class prompts
        assert np.array_equal(at.colored(0), before)
        at.page.locator("[data-tool=lasso].cx-button").click()
        number = len(at.page.evaluate("() => window.drawn"))
        at.plane(0).hover(position={"x": 250, "y": 250})
        at.page.wait_for_selector(".cx-tip b")
        assert len(at.page.evaluate("() => window.drawn")) == number, "what lies under the pointer drew the marks anew"
        at.untouched()
