"""Figures for papers: exact widths, embedded fonts, the same bytes again, and marks that are where the data is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from PIL import Image

from c2vl_lab import figures
from c2vl_lab.artifacts import read_json
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.errors import ConfigError, DataError
from c2vl_lab.figures import Look
from c2vl_lab.figures.bars import BARS
from c2vl_lab.figures.canvas import VENUES
from c2vl_lab.figures.classes import GAIN, LOSS
from c2vl_lab.figures.curves import SERIES
from c2vl_lab.figures.strips import RIGHT, WRONG
from c2vl_lab.project import neighbour_purity, project_joint
from c2vl_lab.viz import theme

EVIL = "_kick <script>alert(1)</script> $x_1$ \\frac a_b"
NAMES = ["drink water", EVIL, "stand up from a chair", "wave with one hand"]
LABELS = np.arange(24) % 4
NOTE = theme.origin_note(generated=True, stand_in_teacher=True)


def points(noise: float = 0.5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    center = rng.normal(size=(4, 6))
    return {m: center[LABELS] + noise * rng.normal(size=(24, 6)) for m in ("skeleton", "language", "vision")}


def clips_table() -> pd.DataFrame:
    table = pd.DataFrame({"name": [f"c{i}" for i in range(24)], "class": [NAMES[k] for k in LABELS]})
    table["speed"] = np.linspace(0, 1, 24)
    table.attrs["classes"] = NAMES
    return table


def clip(name: str = "clip", bodies: int = 1) -> Clip:
    rng = np.random.default_rng(0)
    xyz = rng.normal(0, 0.3, (1, bodies, 25, 3)) + rng.normal(0, 0.02, (30, bodies, 25, 3))
    return Clip(name, xyz.astype(np.float32), np.ones((30, bodies), bool), np.arange(10, 40), 0)


def log(shift: float = 0.0) -> list[dict]:
    return [
        {"epoch": e, "loss": 3 / e + shift, "alpha": 0.1 * e, "lr": 0.1 / e, **({"knn1": 0.2 * e} if e % 2 else {})}
        for e in range(1, 5)
    ]


def arms() -> pd.DataFrame:
    rows = [("Full method, language + vision", "linear", 0.84, 0.02, [0.82, 0.86])]
    rows += [("Full method, language + vision", "knn1", 0.8, np.nan, [0.8]), (EVIL, "linear", 0.6, 0.0, [0.6, 0.6])]
    return pd.DataFrame(rows, columns=["label", "metric", "mean", "std", "values"])


def target(alpha: float) -> np.ndarray:
    same = (np.sort(LABELS)[:, None] == np.sort(LABELS)).astype(float)
    return (1 - alpha) * np.eye(24) + alpha * same / same.sum(axis=1)


HITS = [[figures.Hit(clip(f"c{k}", 2), NAMES[k % 4], 0.9 - 0.1 * k, k != 1) for k in range(4)]]
ACCURACY = dict(zip(NAMES, (0.5, 0.7, 0.9, 0.2), strict=True)), dict(zip(NAMES, (0.75, 0.7, 0.4, 0.3), strict=True))
DRAWN = {
    "joint map": lambda look: figures.joint_map(
        project_joint(points() | {"class prompt": np.eye(4, 6)}, "pca"), clips_table(), look=look
    ),
    "map pair": lambda look: figures.map_pair(
        {"before": project_joint(points(2.0), "pca"), "after": project_joint(points(), "pca")}, clips_table(), look=look
    ),
    "map by a measure": lambda look: figures.joint_map(
        project_joint(points(), "pca"), clips_table(), "speed", look=look
    ),
    "confusion": lambda look: figures.confusion_matrix(np.arange(16).reshape(4, 4), NAMES, look),
    "per class": lambda look: figures.per_class({"full": ACCURACY[0], EVIL: ACCURACY[1]}, look),
    "gains": lambda look: figures.class_gains(*ACCURACY, {NAMES[0]: (0.1, 0.4)}, ("hard", EVIL), look),
    "curves": lambda look: figures.training_curves({"full": [log(), log(0.5)], EVIL: [log(1.0)]}, look),
    "bars": lambda look: figures.ablation_bars(arms(), look=look),
    "similarity": lambda look: figures.similarity_matrices(points(), LABELS, NAMES, look=look),
    "soft targets": lambda look: figures.soft_targets(
        {f"alpha {a:.1f}": target(a) for a in (0.0, 0.5)}, NAMES, np.sort(LABELS), look
    ),
    "film strip": lambda look: figures.film_strip(clip(EVIL, 2), NTU25, f"She waves. {EVIL}", 5, look),
    "gallery": lambda look: figures.retrieval_gallery([EVIL], HITS, NTU25, look),
    "purity": lambda look: figures.purity_curves(
        {"full": list(points().values())[:2], EVIL: [points(3.0)["vision"]]}, LABELS, (1, 2, 5), look
    ),
}


def texts(figure) -> list[Text]:
    """What is written in a figure, once it was drawn."""
    figure.draw_without_rendering()
    written = list(figure.texts)
    for axes in figure.axes:
        written += [*axes.texts, axes.title, axes._left_title, axes._right_title]
        written += axes.get_legend().get_texts() if axes.get_legend() else []
        for axis in (axes.xaxis, axes.yaxis) if axes.axison else ():
            low, high = sorted(axis.get_view_interval())
            labels = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
            written += [axis.label, *(label for place, label in labels if low - 1e-9 <= place <= high + 1e-9)]
    return [text for text in written if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("kind", DRAWN)
def test_the_file_of_data_draws_the_same_bytes_again(kind, tmp_path):
    figure = DRAWN[kind](Look(columns=1, note=NOTE))
    first = figures.save(figure, tmp_path / "a.pdf")
    second = figures.save(figures.redraw(tmp_path / "a.data.json"), tmp_path / "b")
    assert [path.name for path in first] == ["a.pdf", "a.svg", "a.png", "a.data.json"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), f"{one.suffix} differs"
    pdf, svg = first[0].read_bytes(), first[1].read_text(encoding="utf-8")
    assert b"CreationDate" not in pdf and b"Producer" not in pdf and "<dc:date>" not in svg and "Matplotlib" not in svg
    assert b"/Type3" not in pdf and b"/Subtype /CIDFontType2" in pdf, "fonts are wanted as Type 42"
    assert pdf.count(b"/FontFile2") == pdf.count(b"/Type /FontDescriptor") >= 1, "a font is not embedded"
    assert "<text" not in svg and "script>" not in re.sub(r"<!--.*?-->", "", svg), "text in an SVG is drawn as paths"
    assert read_json(first[3])["look"]["note"] == NOTE
    if program := shutil.which("pdffonts"):  # the word of another program, where there is one
        lines = subprocess.run([program, first[0]], check=True, capture_output=True, text=True).stdout.splitlines()[2:]
        embedded = [line.split()[-5] for line in lines]
        assert embedded and set(embedded) == {"yes"} and all("TrueType" in line for line in lines)


def test_another_process_writes_the_same_bytes(tmp_path):
    figures.save(DRAWN["confusion"](Look(columns=1)), tmp_path / "a")
    code = "import sys; from c2vl_lab import figures; figures.save(figures.redraw(sys.argv[1]), sys.argv[2])"
    command = [sys.executable, "-c", code, str(tmp_path / "a.data.json"), str(tmp_path / "b")]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": "7"})
    for kind in ("pdf", "svg", "png", "data.json"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


@pytest.mark.parametrize("venue", VENUES)
def test_figures_are_exactly_as_wide_as_the_venue_wants(venue, tmp_path):
    for columns, width in ((1, VENUES[venue].column), (2, VENUES[venue].page)):
        figure = figures.ablation_bars(arms(), look=Look(venue, columns, height=2.25))
        pdf, _, png, data = figures.save(figure, tmp_path / f"{columns}")
        box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+)", pdf.read_bytes())
        assert [float(side) / 72 for side in box.groups()] == pytest.approx([width, 2.25], abs=1e-5)
        assert Image.open(png).size == (int(width * 300), 675)
        assert read_json(data)["inches"] == pytest.approx([width, 2.25])


def test_widths_are_those_of_the_author_kits():
    inch = {"cvpr": (3.25, 6.875), "eccv": (None, 122 / 25.4), "neurips": (None, 5.5), "iclr": (None, 5.5)}
    inch |= {"iccv": inch["cvpr"], "tmm": (252 / 72.27, 516 / 72.27), "tpami": (3.5, 7.16)}
    for name, (column, page) in inch.items():
        assert VENUES[name].page == pytest.approx(page, abs=1e-3)
        assert VENUES[name].column == pytest.approx(column or page / 2, abs=0.15 if column is None else 1e-3)


@pytest.mark.parametrize("venue, columns", [("eccv", 1), ("cvpr", 1), ("cvpr", 2)])
@pytest.mark.parametrize("kind", DRAWN)
def test_text_is_legible_whole_and_apart(kind, venue, columns):
    figure = DRAWN[kind](Look(venue, columns, note=NOTE))
    written = texts(figure)
    frame = figure.bbox.padded(1.5)
    boxes = []
    for text in written:
        assert text.get_fontsize() >= 6 - 1e-6, f"{text.get_text()} has {text.get_fontsize()} points"
        assert not text.get_parse_math()
        box = text.get_window_extent()
        inside = frame.x0 <= box.x0 and frame.y0 <= box.y0 and box.x1 <= frame.x1 and box.y1 <= frame.y1
        assert inside, f"'{text.get_text()}' is cut off"
        boxes.append((text.get_text(), box))
    for (one, a), (other, b) in combinations(boxes, 2):
        wide, high = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide < 2 or high < 2, f"'{one}' and '{other}' overlap"
    assert any("generated clips" in t.get_text().replace("\n", " ") for t in written)


@pytest.mark.parametrize("kind", [kind for kind in DRAWN if kind != "map by a measure"])
def test_text_of_the_data_is_drawn_as_it_is(kind):
    shown = " ".join(t.get_text().replace("\n", " ") for t in texts(DRAWN[kind](Look())))
    assert EVIL[:20] in shown


def test_a_note_may_be_left_to_the_caption():
    figure = DRAWN["confusion"](Look(note=NOTE, corner=False))
    assert not any("generated" in t.get_text() for t in texts(figure))
    assert figures.saving.record(figure)["look"]["note"] == NOTE


def test_a_figure_keeps_its_style_in_any_surrounding():
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 30, "xtick.labelsize": 30, "font.family": ["DejaVu Sans Mono"]}):
        figure = DRAWN["bars"](Look())
        written = texts(figure)
    assert max(t.get_fontsize() for t in written) <= 9
    assert {t.get_fontname() for t in written} == {"STIXGeneral"}


def test_looks_are_checked():
    with pytest.raises(ConfigError, match="Did you mean 'cvpr'"):
        Look("cvpr24")
    with pytest.raises(ConfigError, match="1 or 2 columns"):
        Look(columns=3)
    with pytest.raises(ConfigError, match="inches high"):
        Look(height=100.0)


def test_bars_are_as_long_as_the_means():
    axes = figures.ablation_bars(arms()).axes[0]
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx([84, 60, 80])
    whisker = axes.collections[0].get_segments()[0]
    assert whisker[:, 0] == pytest.approx([82, 86])
    dots = [list(line.get_xdata()) for line in axes.lines if line.get_marker() == "o"]
    assert [82.0, 86.0] in dots and [60.0, 60.0] in dots
    with pytest.raises(DataError, match="no result holds"):
        figures.ablation_bars(arms(), ["zero_shot"])


def test_confusion_cells_are_shares_of_the_true_class():
    figure = figures.confusion_matrix([[3, 1], [0, 0]], ["a", "b"])
    assert figure.axes[0].images[0].get_array().tolist() == [[75, 25], [0, 0]]
    assert {t.get_text() for t in figure.axes[0].texts} == {"75", "25"}
    with pytest.raises(DataError, match="2 classes is 2 x 2"):
        figures.confusion_matrix(np.zeros((3, 3)), ["a", "b"])


def test_gains_are_differences_sorted_with_their_intervals():
    figure = DRAWN["gains"](Look())
    axes = figure.axes[0]
    bars = {round(bar.get_y() + bar.get_height() / 2): bar.get_width() for bar in axes.patches}
    assert [bars[k] for k in range(4)] == pytest.approx([25, 10, 0, -50])
    assert [t.get_text() for t in axes.get_yticklabels()] == [NAMES[0], NAMES[3], NAMES[1][:43] + "…", NAMES[2]]
    assert axes.collections[0].get_segments()[0][:, 0] == pytest.approx([10, 40])
    many = {f"class {k}": 0.5 + 0.001 * k for k in range(60)}
    half = figures.class_gains(dict.fromkeys(many, 0.5), many)
    assert half.data["classes"][0] == "class 59" and len(half.data["classes"]) == 40
    assert "20 classes with smaller changes are not shown" in half.data["remark"]
    with pytest.raises(DataError, match="share none"):
        figures.class_gains({"a": 1.0}, {"b": 1.0})


def test_curves_are_means_with_bands_of_the_spread():
    figure = figures.training_curves({"full": [log(), log(0.5)]})
    loss = figure.axes[0]
    assert list(loss.lines[0].get_ydata()) == pytest.approx([3 / e + 0.25 for e in range(1, 5)], rel=1e-5)
    edges = loss.collections[0].get_paths()[0].vertices
    spread = np.std([0, 0.5], ddof=1)
    assert edges[:, 1].max() == pytest.approx(3.25 + spread, rel=1e-5)
    assert edges[:, 1].min() == pytest.approx(1.0 - spread, rel=1e-5)
    assert loss.get_ylabel() == "loss" and len(figure.axes) == 4
    measured = figure.axes[3].lines[0]
    assert list(measured.get_xdata()) == [1, 3] and measured.get_marker() == "o"
    with pytest.raises(DataError, match="epoch"):
        figures.training_curves([{"loss": 1.0}])


def test_similarity_is_the_cosine_of_clips_sorted_by_class():
    found = points()
    found["vision"][5] = np.nan
    figure = figures.similarity_matrices(found, LABELS, NAMES, [("skeleton", "vision")])
    order = [i for label in range(4) for i in range(24) if LABELS[i] == label and i != 5]
    a, b = (found[m][order] / np.linalg.norm(found[m][order], axis=1)[:, None] for m in ("skeleton", "vision"))
    assert np.asarray(figure.axes[0].images[0].get_array()) == pytest.approx(a @ b.T, abs=6e-4)
    assert figure.axes[0].images[0].get_rasterized()
    wide = figures.similarity_matrices({"x": np.random.default_rng(0).normal(size=(500, 4))}, np.arange(500) % 4, NAMES)
    assert len(wide.data["labels"]) == 120 and "120 of 500 clips" in wide.data["remark"]
    assert np.bincount(wide.data["labels"]).tolist() == [30] * 4
    with pytest.raises(DataError, match="do not fit"):
        figures.similarity_matrices(found, LABELS[:-1], NAMES)


def test_soft_targets_share_one_scale_that_leaves_out_the_diagonal():
    figure = DRAWN["soft targets"](Look())
    first, second = (axes.images[0] for axes in figure.axes[:2])
    assert first.get_clim() == second.get_clim() == pytest.approx((0, 0.5 / 6), rel=1e-5)
    assert np.asarray(second.get_array()) == pytest.approx(target(0.5), rel=1e-5)
    with pytest.raises(DataError, match="square"):
        figures.soft_targets(np.zeros((2, 3)), ["a", "b"])
    with pytest.raises(DataError, match="sorted"):
        figures.soft_targets(np.eye(3), NAMES, [1, 0, 2])


def test_maps_draw_every_point_at_its_place_as_pixels(tmp_path):
    projection = project_joint(points() | {"class prompt": np.eye(4, 6)}, "pca")
    figure = figures.joint_map(projection, clips_table())
    drawn = {len(c.get_offsets()): c for c in figure.axes[0].collections[1:]}
    assert len(figure.axes[0].collections) == 5 and all(c.get_rasterized() for c in figure.axes[0].collections)
    np.testing.assert_allclose(drawn[4].get_offsets(), projection.coordinates["class prompt"], rtol=1e-4)
    skeleton = figure.axes[0].collections[1]
    np.testing.assert_allclose(skeleton.get_offsets(), projection.coordinates["skeleton"], rtol=1e-4)
    lines = figure.axes[0].collections[0].get_segments()
    assert len(lines) == 48
    np.testing.assert_allclose(lines[3][0], projection.coordinates["skeleton"][3], rtol=1e-4)
    pdf = figures.save(figure, tmp_path / "map")[0].read_bytes()
    assert b"/Subtype /Image" in pdf and len(pdf) < 400_000
    with pytest.raises(DataError, match="two projections"):
        figures.map_pair({"one": projection}, clips_table())


def test_purity_counts_neighbours_of_the_same_class():
    features = np.random.default_rng(1).normal(size=(30, 5))
    labels = np.arange(30) % 3
    unit = features / np.linalg.norm(features, axis=1)[:, None]
    slow = []
    for k in (1, 4, 29):
        right = 0
        for row in range(30):
            others = sorted((o for o in range(30) if o != row), key=lambda o: -unit[row] @ unit[o])[:k]
            right += sum(labels[o] == labels[row] for o in others)
        slow.append(right / (30 * k))
    assert neighbour_purity(features, labels, (1, 4, 29)) == pytest.approx(slow)
    figure = figures.purity_curves({"x": [features]}, labels, (1, 4, 29, 30))
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([100 * share for share in slow], rel=1e-5)
    assert figure.axes[0].lines[-1].get_ydata()[0] == pytest.approx(100 * 9 / 29, rel=1e-5)  # chance
    with pytest.raises(DataError, match="k under"):
        figures.purity_curves({"x": [features]}, labels, (30,))
    with pytest.raises(DataError, match="finite"):
        neighbour_purity(np.full((4, 2), np.nan), np.arange(4), [1])


def test_a_strip_has_its_frames_poses_and_sentence():
    figure = figures.film_strip(clip("a/b", 2), NTU25, EVIL, frames=4)
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.texts] == ["10", "20", "29", "39"]
    poses = [c for c in axes.collections if len(c.get_segments()) == len(NTU25.bones)]
    assert len(poses) == 8, "two bodies in four frames"
    assert figure.axes[1].texts[0].get_text().replace("\n", " ") == EVIL
    trails = [line for line in axes.lines if len(line.get_xdata()) == 11]
    assert len(trails) == 16, "hands and feet of two bodies, on ten frames' way to the second and the fourth pose"


def test_a_gallery_frames_right_and_wrong_answers():
    figure = figures.retrieval_gallery([EVIL], HITS, NTU25)
    frames = [axes.patches[0] for axes in figure.axes if axes.patches]
    assert [f.get_linestyle() for f in frames] == ["-", "--", "-", "-"]
    scores = [axes.get_xlabel().split("\n")[-1] for axes in figure.axes if axes.patches]
    assert scores == ["0.90", "0.80", "0.70", "0.60"]
    with pytest.raises(DataError, match="equally many"):
        figures.retrieval_gallery(["a", "b"], [HITS[0], HITS[0][:1]], NTU25)


@pytest.mark.parametrize("kind", ["joint map", "map pair", "map by a measure", "confusion", "curves", "gains"])
def test_interactive_twins_show_the_same_values(kind):
    figure = DRAWN[kind](Look(title=EVIL, note=NOTE))
    shown = figures.twin(figure)
    told = json.dumps(shown.to_plotly_json(), default=str)
    assert "<script" not in told and "generated clips" in told
    if kind == "confusion":
        assert np.allclose(shown.data[0].z, figure.axes[0].images[0].get_array())
    elif kind == "gains":
        assert list(shown.data[0].x) == pytest.approx([25, 10, 0, -50])
        assert shown.data[0].error_x.array[0] == pytest.approx(15)
    elif kind == "curves":
        means = [t for t in shown.data if t.xaxis == "x" and t.name]
        for trace, line in zip(means, figure.axes[0].lines, strict=True):
            assert np.allclose(trace.y, line.get_ydata())
    else:
        count = {"joint map": 76, "map pair": 144, "map by a measure": 72}[kind]
        assert sum(len(t.x) for t in shown.data if t.hovertext is not None) == count


def test_figures_without_a_twin_say_which_have_one():
    with pytest.raises(ConfigError, match="joint_map"):
        figures.twin(DRAWN["purity"](Look()))


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(DataError, match="wanted the data of a figure"):
        figures.redraw(tmp_path / "a.json")
    (tmp_path / "b.json").write_text(json.dumps({"figure": "joint_mop", "look": {}, "data": {}}))
    with pytest.raises(DataError, match="Did you mean 'joint_map'"):
        figures.redraw(tmp_path / "b.json")


def test_a_file_of_data_serves_another_venue(tmp_path):
    figures.save(DRAWN["bars"](Look()), tmp_path / "a")
    narrow = figures.redraw(tmp_path / "a.data.json", replace(Look(), venue="neurips", columns=1))
    assert narrow.get_figwidth() == 2.65
    assert [bar.get_width() for bar in narrow.axes[0].patches] == pytest.approx([84, 60, 80])


# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB
SEEN_BY = {
    "full colour vision": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]


def lab(colors: list[str], kind: str) -> np.ndarray:
    """CIE L*a*b* (D65) of ``#rrggbb`` as somebody of that kind sees them."""
    rgb = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in colors]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(SEEN_BY[kind]).T, 0, 1)
    xyz = seen @ np.array(TO_XYZ).T / [0.95047, 1, 1.08883]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("kind", SEEN_BY)
def test_colours_stay_apart_for_the_colour_blind(kind):
    """15 in L*a*b* is six times what an eye just tells apart side by side; grey red and green would have under 10."""
    palettes = {
        "modalities": [mark.color for mark in theme.MARKS.values()],
        "curves": list(SERIES),
        "bars": [color for color, _ in BARS],
        "gains": [GAIN, LOSS],
        "answers": [RIGHT[0], WRONG[0]],
        "limbs": [theme.LEFT, theme.RIGHT, theme.MIDDLE],
        "classes": theme.class_colors(9),
    }
    for name, colors in palettes.items():
        for (one, a), (other, b) in combinations(zip(colors, lab(colors, kind), strict=True), 2):
            assert np.linalg.norm(a - b) >= 15, f"{name}: {one} and {other} look alike with {kind}"


def test_the_measure_of_colours_would_find_red_and_green():
    apart = {kind: np.linalg.norm(np.subtract(*lab(["#AA5500", "#667F00"], kind))) for kind in SEEN_BY}
    assert apart["deuteranopia"] < 15 < apart["full colour vision"]
