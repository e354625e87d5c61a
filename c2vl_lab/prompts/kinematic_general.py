"""Sixteen sentences about a skeleton that is no whole person: a hand, a robot, an upper body alone.

They call the joints by their names and say only what any skeleton can do: travel, rise, turn, spread, and which parts
move where, seen from the root joint. Position k speaks of the same aspect in every clip::

    1 path of the root    4    spread             11    two parts that meet or part
    2 rise and fall       5-9  five parts         12-15 the four quarters of the clip
    3 where it points     10   repetition         16    summary
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from c2vl_lab.data.align import spread
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.prompts.kinematic_measures import (
    FRAME_RATE,
    at_end,
    at_start,
    quantile,
    speed,
    steady,
    strokes,
    swings,
    tracks_of,
)
from c2vl_lab.prompts.kinematic_words import join, moment, pace, pick, sentence, times

PARTS = 5
STILL = 0.25  # a part whose path spans less than this (body sizes) rests
_OPENINGS = ("at first", "then", "after that", "at last")


@dataclass(frozen=True)
class Figure:
    """One skeleton over a clip of T frames; lengths in body sizes (root mean square distance from the middle).

    Attributes:
        root: name of the root joint.
        path: (T, 3) root relative to its start; y up.
        parts: name to (T, 3) position relative to the root, of the parts that the sentences speak of.
        middle: (T, 3) middle of all joints relative to the root.
        size: (T,) size relative to the clip's median.
        joints: number of joints.
    """

    root: str
    path: np.ndarray
    parts: dict[str, np.ndarray]
    middle: np.ndarray
    size: np.ndarray
    joints: int

    def spans(self) -> dict[str, float]:
        """How far each part moves, relative to the root."""
        return {name: float(np.linalg.norm(np.ptp(path, axis=0))) for name, path in self.parts.items()}


def general_sentences(xyz: np.ndarray, present: np.ndarray, layout: JointLayout) -> list[str]:
    """The 16 sentences of one clip.

    Args:
        xyz: (T, M, V, 3) metres, y up.
        present: (T, M) whether the body was tracked in the frame.
        layout: any joint layout.
    """
    tracks = tracks_of(xyz, present)
    if not tracks:
        return ["No body was tracked in this clip."] * 16
    figure = _figure(steady(tracks[0]), layout)
    names = list(figure.parts)
    return [
        _travel(figure),
        _rise(figure),
        _pointing(figure),
        _spread(figure),
        *(_part(figure, names[k]) if k < len(names) else "There is no further part." for k in range(PARTS)),
        _repetition(figure),
        _meeting(figure),
        *_quarters(figure),
        _summary(figure, len(tracks)),
    ]


def _figure(track: np.ndarray, layout: JointLayout) -> Figure:
    """Measures of a track (T, V, 3)."""
    scale = max(float(np.median(spread(track))), 1e-6)
    track = track / scale
    root = track[:, layout.root]
    names = [name.replace("_", " ") for name in layout.joints]
    parts = {names[j]: track[:, j] - root for j in _chosen(layout)}
    middle = (track - root[:, None]).mean(axis=1)
    return Figure(names[layout.root], root - root[0], parts, middle, spread(track), len(layout))


def _chosen(layout: JointLayout) -> list[int]:
    """The joints that sentences speak of: the ends of the limbs first, then those farthest from the root."""
    hops = layout.hops()[layout.root]
    others = [j for j in range(len(layout)) if j != layout.root]
    ends = [j for j in others if j not in layout.parents]
    rest = sorted((j for j in others if j in layout.parents), key=lambda j: (-hops[j], j))
    return sorted((ends + rest)[:PARTS])


def _travel(figure: Figure) -> str:
    floor = figure.path[:, [0, 2]]
    far = float(np.linalg.norm(floor - floor[0], axis=1).max())
    net = float(np.linalg.norm(floor[-1] - floor[0]))
    how = pick(far, (0.3, 1.0, 3.0), ("stays where it is", "moves a little", "travels", "travels far"))
    back = " and comes back" if far > 0.3 and net < 0.4 * far else ""
    return sentence(f"over the ground the {figure.root} {how}{back}")


def _rise(figure: Figure) -> str:
    height = figure.path[:, 1]
    words = ("ends far below its start", "ends below its start", "ends as high as it starts", "ends above its start")
    text = (
        f"the {figure.root} {pick(float(at_end(height)), (-1.0, -0.3, 0.3, 1.0), (*words, 'ends far above its start'))}"
    )
    top, low = quantile(height, 0.95), quantile(height, 0.05)
    ways = ["after rising" if top > max(0.0, float(at_end(height))) + 0.3 else ""]
    ways.append("after sinking" if low < min(0.0, float(at_end(height))) - 0.3 else "")
    return sentence(text, join(ways))


def _pointing(figure: Figure) -> str:
    """Where the middle of the body lies, seen from the root."""

    def where(point: np.ndarray) -> str:
        slope = np.degrees(np.arctan2(point[1], np.hypot(point[0], point[2])))
        return pick(float(slope), (-50, -20, 20, 50), ("down", "slanting down", "level", "slanting up", "up"))

    first, last = where(at_start(figure.middle)), where(at_end(figure.middle))
    flat = np.unwrap(np.arctan2(figure.middle[:, 2], figure.middle[:, 0]))
    level = np.hypot(figure.middle[:, 0], figure.middle[:, 2]) > 0.5 * np.linalg.norm(figure.middle, axis=1)
    turn = abs(float(np.degrees(at_end(flat) - at_start(flat)))) if level.all() else 0.0  # upright: no way to turn
    turned = pick(turn, (25, 70, 140), ("", ", a little turned", ", turned by a quarter", ", turned around"))
    points = first if first == last else f"{first} at the start and {last} at the end"
    return sentence(f"seen from the {figure.root} the body points {points}{turned}")


def _spread(figure: Figure) -> str:
    begin, end = float(at_start(figure.size)), float(at_end(figure.size))
    ways = ("draws together", "draws together a little", "ends as wide as it starts", "opens a little", "opens wide")
    text = f"the body {pick(end / max(begin, 1e-6), (0.75, 0.93, 1.07, 1.3), ways)}"
    widest, tightest = quantile(figure.size, 0.95), quantile(figure.size, 0.05)
    if widest > 1.15 * max(begin, end):
        text += f" and is widest {moment(float(np.argmax(figure.size)) / len(figure.size))}"
    if tightest < 0.87 * min(begin, end):
        text += f" and is closest {moment(float(np.argmin(figure.size)) / len(figure.size))}"
    return sentence(text)


def _part(figure: Figure, name: str) -> str:
    """The strokes of one part, seen from the root."""
    path, span = figure.parts[name], figure.spans()[name]
    if span < STILL:
        return sentence(f"the {name} keeps its place")
    words: list[str] = []
    for move in strokes(np.column_stack([path, np.linalg.norm(path, axis=1)]), max(0.2, 0.3 * span)):
        word = _way(move)
        if not words or words[-1] != word:
            words.append(word)
    how = pace(quantile(speed(path), 0.95))
    return sentence(f"the {name} moves {', then '.join(words) if words else 'about'} {how}")


def _way(move: np.ndarray) -> str:
    """A (4,) move, x, y, z and distance from the root, in words that no camera changes."""
    level = float(np.hypot(move[0], move[2]))
    upward, outward = float(move[1]), float(move[3])
    most = max(level, abs(upward), abs(outward))
    words = ["up" if upward > 0 else "down"] if abs(upward) >= 0.5 * most else []
    if abs(outward) >= 0.5 * most:
        words.append("outwards" if outward > 0 else "inwards")
    elif level >= 0.5 * most:
        words.append("across")
    return " and ".join(words)


def _repetition(figure: Figure) -> str:
    """To and fro of what moves most, a part or the whole body."""
    paths = {figure.root: figure.path, **figure.parts}
    name = max(paths, key=lambda part: float(np.linalg.norm(np.ptp(paths[part], axis=0))))
    path = paths[name]
    main = np.linalg.svd(path - path.mean(axis=0), full_matrices=False)[2][0]
    signal = path @ main
    turns = swings(signal, max(0.15, 0.4 * float(np.ptp(signal))))
    if turns < 3:
        return "No movement is repeated."
    return sentence(f"the {name} goes to and fro {times((turns + 1) // 2)}")


def _meeting(figure: Figure) -> str:
    """The two parts whose distance changes most."""
    gaps = {pair: np.linalg.norm(figure.parts[pair[0]] - figure.parts[pair[1]], axis=1) for pair in _pairs(figure)}
    changes = {pair: quantile(gap, 0.95) - quantile(gap, 0.05) for pair, gap in gaps.items()}
    if not changes or max(changes.values()) < STILL:
        return "All parts keep their distance from one another."
    pair = max(changes, key=lambda key: changes[key])
    gap = gaps[pair]
    ways = ("come together", "end as far apart as they start", "part")
    change = pick(float(at_end(gap) - at_start(gap)), (-0.2, 0.2), ways)
    near = moment(float(np.argmin(gap)) / len(gap))
    return sentence(f"the {pair[0]} and the {pair[1]} {change}, nearest to each other {near}")


def _pairs(figure: Figure) -> list[tuple[str, str]]:
    return list(combinations(figure.parts, 2))


def _quarters(figure: Figure) -> list[str]:
    """What moves in each quarter of the clip's time, and where the body goes."""
    count = len(figure.path)
    edges = np.linspace(0, count, 5)
    texts = []
    for number, opening in enumerate(_OPENINGS):
        first = min(int(edges[number]), count - 1)
        part = slice(first, max(int(np.ceil(edges[number + 1])), first + 1))
        moves = {name: path[part][-1] - path[part][0] for name, path in figure.parts.items()}
        sizes = {name: float(np.linalg.norm(move)) for name, move in moves.items()}
        found = sorted((name for name in sizes if sizes[name] > 0.2), key=lambda name: -sizes[name])[:2]
        ways = [f"the {name} moves {_way(np.append(moves[name], _outward(figure, name, part)))}" for name in found]
        whole = figure.path[part][-1] - figure.path[part][0]
        ways.append("the whole body rises" if whole[1] > 0.2 else "the whole body sinks" if whole[1] < -0.2 else "")
        ways.append("the whole body travels" if float(np.hypot(whole[0], whole[2])) > 0.3 else "")
        texts.append(sentence(f"{opening} {join(ways) or 'hardly anything moves'}"))
    return texts


def _outward(figure: Figure, name: str, part: slice) -> float:
    away = np.linalg.norm(figure.parts[name][part], axis=1)
    return float(away[-1] - away[0])


def _summary(figure: Figure, bodies: int) -> str:
    spans = figure.spans()
    order = sorted(spans, key=lambda name: -spans[name])
    moving = [f"the {name}" for name in order if spans[name] > max(STILL, 0.6 * spans[order[0]])][:3]
    what = f"{join(moving)} {'moves' if len(moving) == 1 else 'move'} most" if moving else "almost nothing moves"
    rate = max((quantile(speed(path), 0.8) for path in figure.parts.values()), default=0.0)
    tempo = pick(rate, (0.6, 1.5, 3.0), ("very slow", "slow", "brisk", "fast"))
    length = pick(len(figure.path) / FRAME_RATE, (0.7, 1.5, 3.0), ("very short", "short", "medium long", "long"))
    pair = "" if bodies < 2 else ", and a second body is there"
    return sentence(f"in this {length} and {tempo} movement {what}{pair}")
