"""Alignment and resampling of many clips at once: what ``transforms.prepare_clip`` says clip by clip, at memory speed.

Origin, rotation and scale are one affine map a clip, found from a few of its rows. Only the rows that the resampled
frames lie between are gathered, blended and mapped; a clip's other frames are read for its torso length alone.

Filling a gap and resampling are both linear between whole frames, and no whole frame lies strictly between a
position's two neighbours. So the two steps are one blend of the last tracked frame before a position and the first
one after it, and a clip with gaps costs no more than one without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import ConfigError

BLOCK = 48  # clips at a time: gathered rows then stay in the processor's cache
PADDED = 2**18  # frames x tracks of a block, all as long as its longest; longer clips make smaller blocks
ALIGN = ("clip", "frame", "frame50", "none")
ORIGIN = ("clip", "frame")
HIP_FRAMES, LINE_FRAMES = 3, 5  # first frames that the origin and the view are taken from


@dataclass(frozen=True)
class PrepareConfig:
    """How clips are normalised. The defaults are our choice, after the small sets' evidence.

    The per-frame variant of AimCLR and CrosSCLR (``origin="frame"``, ``align="frame"``, ``scale=False``, 50 frames) is
    there for comparison: every frame of every body is moved to its own shoulder centre and turned until its shoulders
    lie along x. It loses the distance between two people, walking paths and turning. Theirs takes the sense of all
    rotations of a clip from the sum over its frames; here each frame has its own. ``align="frame50"`` repeats their
    converters' own rotation and sampling grid, for encoders that were trained on their arrays.

    Attributes:
        frames: T, every clip is resampled to it.
        align: "clip": one rotation about the vertical, so that the first person faces the camera at the start;
            "frame": every frame of every body for itself; "frame50": the same as the frame50 converters do it
            (:func:`frame50_rotation`), and frames sampled at the middles of equal spans instead of from the first
            to the last; "none".
        origin: "clip": the first person's hip centre at the start; "frame": each body's shoulder centre, each frame.
        scale: divide by the first person's median torso length (hip to shoulder centre).
    """

    frames: int = 64
    align: str = "clip"
    origin: str = "clip"
    scale: bool = True

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise ConfigError(f"frames must be at least 2, found {self.frames}.")
        for name, known in (("align", ALIGN), ("origin", ORIGIN)):
            if getattr(self, name) not in known:
                wanted = ", ".join(repr(value) for value in known)
                raise ConfigError(f"{name} wants one of {wanted}; found {getattr(self, name)!r}.")


@dataclass(frozen=True)
class Tracks:
    """The tracked bodies of a block of clips, K in all; a body that was never tracked is none.

    Attributes:
        clip: (K,) clip of the block.
        body: (K,) body slot in its clip.
        first: (K,) row of frame 0.
        step: (K,) rows from one frame to the next.
        length: (K,) frames.
        before: (K, T) last tracked frame up to frame t; the first tracked one where there is none before.
        after: (K, T) first tracked frame from frame t on; the last tracked one where there is none after.
    """

    clip: np.ndarray
    body: np.ndarray
    first: np.ndarray
    step: np.ndarray
    length: np.ndarray
    before: np.ndarray
    after: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> Tracks:
        """Some of the tracks, by index or mask."""
        return Tracks(**{name: values[chosen] for name, values in vars(self).items()})

    def between(
        self, low: np.ndarray, high: np.ndarray, positions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Two (K, F) rows and the (K, F) weight of the second, for positions between whole frames low and high."""
        own = np.arange(len(self.clip))[:, None]
        start, end = self.before[own, low], self.after[own, high]
        weight = np.clip((positions - start) / np.maximum(end - start, 1), 0, 1).astype(np.float32)
        first, step = self.first[:, None], self.step[:, None]
        return first + start * step, first + end * step, weight


class Workspace:
    """Scratch arrays that live from block to block: fresh ones cost more in page faults than what is done in them."""

    def __init__(self) -> None:
        self._arrays = [np.empty(0, np.float32), np.empty(0, np.float32)]

    def pair(self, *shape: int) -> tuple[np.ndarray, np.ndarray]:
        """Two float32 arrays of a shape, with anything in them; the same memory at every call."""
        size = int(np.prod(shape))
        if self._arrays[0].size < size:
            self._arrays = [np.empty(size, np.float32) for _ in range(2)]
        return self._arrays[0][:size].reshape(shape), self._arrays[1][:size].reshape(shape)


def prepare_block(
    rows: np.ndarray,
    present: np.ndarray,
    lengths: np.ndarray,
    bodies: np.ndarray,
    layout: JointLayout,
    config: PrepareConfig,
    out: np.ndarray,
    space: Workspace,
) -> None:
    """Normalise and resample clips that lie one after another in a store's rows.

    Args:
        rows: (R, V, 3) float32 coordinates, row (t, m) of a clip at its start + t * bodies + m.
        present: (R,) whether the body was tracked.
        lengths, bodies: (B,) frames and body slots of each clip.
        layout: the joints.
        config: the settings.
        out: (B, frames, M, V, 3) float32, filled; bodies that were never tracked become zero.
        space: scratch arrays.
    """
    out[:] = 0
    tracks = find_tracks(present, lengths, bodies)
    if not len(tracks.clip):
        return
    flat = rows.reshape(len(rows), -1)
    lead = tracks[np.unique(tracks.clip, return_index=True)[1]]
    clip_of = np.searchsorted(lead.clip, tracks.clip)
    origin, matrix = _affine(flat, lead, layout, config, space)
    frames, joints = config.frames, len(layout)
    positions = sample_positions(tracks.length[:, None], config)
    last = tracks.length[:, None] - 1
    low = np.minimum(positions.astype(np.int64), last)
    points, free = _blend(flat, tracks.between(low, np.minimum(low + 1, last), positions), space)
    points -= np.tile(origin, joints)[clip_of, None]
    shape = (len(points), frames * joints, 3)
    cloud = np.matmul(points.reshape(shape), matrix[clip_of], out=free.reshape(shape))
    cloud = per_frame(cloud.reshape(len(points), frames, joints, 3), layout, config)
    for body in range(int(bodies.max())):
        mine = tracks.body == body
        out[tracks.clip[mine], :, body] = cloud[mine]


def find_tracks(present: np.ndarray, lengths: np.ndarray, bodies: np.ndarray) -> Tracks:
    """The tracked bodies of clips whose (R,) ``present`` lies row after row."""
    clip = np.repeat(np.arange(len(lengths)), bodies)
    body = np.arange(len(clip)) - np.repeat(np.cumsum(bodies) - bodies, bodies)
    size = lengths * bodies
    first, step, length = (np.cumsum(size) - size)[clip] + body, bodies[clip], lengths[clip]
    time = np.arange(int(lengths.max()), dtype=np.int32)
    inside = np.minimum(time, length[:, None] - 1)
    known = present[first[:, None] + inside * step[:, None]] & (time < length[:, None])
    never = np.int32(len(time))
    before = np.maximum.accumulate(np.where(known, time, np.int32(-1)), axis=1)
    after = np.minimum.accumulate(np.where(known, time, never)[:, ::-1], axis=1)[:, ::-1]
    before, after = np.where(before < 0, after, before), np.where(after == never, before, after)
    return Tracks(clip, body, first, step, length, before, after)[known.any(axis=1)]


def _blend(
    flat: np.ndarray, rows: tuple[np.ndarray, np.ndarray, np.ndarray], space: Workspace
) -> tuple[np.ndarray, np.ndarray]:
    """(1 - weight) * flat[one] + weight * flat[two], (R, C) and (K, F) -> (K, F, C); and a free array of that shape.

    ``rows``: one, two and weight, as :meth:`Tracks.between` gives them.
    """
    one, two, weight = rows
    first, second = space.pair(*one.shape, flat.shape[1])
    np.take(flat, one, axis=0, out=first, mode="clip")
    np.take(flat, two, axis=0, out=second, mode="clip")
    second -= first
    second *= weight[..., None]
    first += second
    return first, second


def _affine(
    flat: np.ndarray, lead: Tracks, layout: JointLayout, config: PrepareConfig, space: Workspace
) -> tuple[np.ndarray, np.ndarray]:
    """Origins (L, 3) and matrices (L, 3, 3): a point becomes (point - origin) @ matrix."""
    count, time = len(lead.clip), np.arange(LINE_FRAMES)
    inside = np.minimum(time, lead.length[:, None] - 1)
    start = _blend(flat, lead.between(inside, inside, inside), space)[0].reshape(count, LINE_FRAMES, -1, 3)

    def mean(frames: int) -> np.ndarray:
        """Mean pose (L, V, 3) of the first frames, of as many as there are; float64, since lines may be short."""
        used = np.minimum(frames, lead.length)[:, None]
        return np.einsum("lf,lfvc->lvc", (time < used) / used, start)

    origin = np.zeros((count, 3), np.float32)
    if config.origin == "clip":
        origin = mean(HIP_FRAMES)[:, list(layout.origin)].mean(axis=1).astype(np.float32)
    matrix = np.broadcast_to(np.eye(3, dtype=np.float32), (count, 3, 3))
    if config.align == "clip":
        matrix = to_x(np.einsum("v,lvc->lc", layout.across(), mean(LINE_FRAMES)))
    if config.scale:
        matrix = matrix / np.maximum(_sizes(flat, lead, layout, space), np.float32(1e-3))[:, None, None]
    return origin, matrix


def to_x(line: np.ndarray) -> np.ndarray:
    """(..., 3, 3) matrices, to be multiplied from the right, that turn lines (..., 3) about y onto +x."""
    length = np.hypot(line[..., 0], line[..., 2])
    still = length < 1e-6
    divisor = np.where(still, 1, length)
    cos, sin = np.where(still, 1, line[..., 0] / divisor), line[..., 2] / divisor * ~still
    matrix = np.zeros((*line.shape, 3), np.float32)
    matrix[..., 0, 0] = matrix[..., 2, 2] = cos
    matrix[..., 0, 2], matrix[..., 2, 0] = -sin, sin
    matrix[..., 1, 1] = 1
    return matrix


def _sizes(flat: np.ndarray, lead: Tracks, layout: JointLayout, space: Workspace) -> np.ndarray:
    """(L,) median size of the first people over their clips: see :func:`c2vl_lab.data.transforms.body_sizes`."""
    time = np.arange(lead.before.shape[1])
    inside = np.minimum(time, lead.length[:, None] - 1)
    where = lead.between(inside, inside, inside)
    rows = flat.reshape(len(flat), -1, 3)
    if layout.has("spine_base", "spine_shoulder"):
        trunk = _blend(layout.point(rows, "spine_shoulder") - layout.point(rows, "spine_base"), where, space)[0]
        sizes = np.sqrt(np.einsum("ltc,ltc->lt", trunk, trunk))
    else:
        sizes = spread(_blend(flat, where, space)[0].reshape(*inside.shape, -1, 3))
    sizes[time >= lead.length[:, None]] = np.inf
    sizes.sort(axis=1)
    own = np.arange(len(sizes))
    return (sizes[own, (lead.length - 1) // 2] + sizes[own, lead.length // 2]) / 2


def spread(xyz: np.ndarray) -> np.ndarray:
    """Root mean square distance of the joints from their middle: (..., V, 3) -> (...)."""
    return np.sqrt(((xyz - xyz.mean(axis=-2, keepdims=True)) ** 2).sum(axis=-1).mean(axis=-1))


def per_frame(xyz: np.ndarray, layout: JointLayout, config: PrepareConfig) -> np.ndarray:
    """The per-frame parts of a configuration, on coordinates (..., T, V, 3); each frame and body for itself."""
    if config.origin == "frame":
        middle = layout.joints_at("spine_shoulder") or (layout.root,)
        xyz = xyz - xyz[..., list(middle), :].mean(axis=-2, keepdims=True)
    if config.align == "frame" and layout.has("left_shoulder", "right_shoulder"):
        xyz = xyz @ to_x(layout.point(xyz, "right_shoulder") - layout.point(xyz, "left_shoulder"))
    if config.align == "frame50" and layout.has("left_shoulder", "right_shoulder"):
        xyz = xyz @ frame50_rotation(layout.point(xyz, "right_shoulder") - layout.point(xyz, "left_shoulder"))
    return xyz


def frame50_rotation(line: np.ndarray) -> np.ndarray:
    """Turning shoulder lines (..., T, 3) onto x as frame50 arrays have it: (..., T, 3, 3), to multiply from the right.

    Every frame is turned about y by the angle between its line and +x (a line lengthened by 0.1 mm, so nearly that
    angle), but all frames of a clip in one sense: that of the sum of the lines' z. A frame whose line points the other
    way is turned away from x. A defect of the published converters (AimCLR's and CrosSCLR's ``NTUDatasets``), repeated
    here since their encoders were trained on what it makes.
    """
    length = np.hypot(line[..., 0], line[..., 2])
    angle = np.arccos(line[..., 0] / (length + 1e-4))
    angle = np.where(line[..., 2].sum(axis=-1, keepdims=True) >= 0, angle, -angle)
    matrix = np.zeros((*line.shape, 3), np.float32)
    matrix[..., 0, 0] = matrix[..., 2, 2] = np.cos(angle)
    matrix[..., 2, 0] = np.sin(angle)
    matrix[..., 0, 2] = -matrix[..., 2, 0]
    matrix[..., 1, 1] = 1
    return matrix


def sample_positions(lengths: np.ndarray, config: PrepareConfig) -> np.ndarray:
    """(..., frames) positions between the frames of clips of ``lengths`` (..., 1) that a prepared clip is made of."""
    steps = np.arange(config.frames)
    if config.align == "frame50":  # the grid of an image library's linear resize
        return np.clip((steps + 0.5) * (lengths / config.frames) - 0.5, 0, lengths - 1)
    return steps * ((lengths - 1) / (config.frames - 1))


def blocks(lengths: np.ndarray, bodies: np.ndarray) -> Iterator[slice]:
    """Slices of consecutive clips that are prepared together; many very long clips are split up."""
    waiting = [slice(start, min(start + BLOCK, len(lengths))) for start in range(0, len(lengths), BLOCK)][::-1]
    while waiting:
        part = waiting.pop()
        if len(lengths[part]) > 1 and int(lengths[part].max()) * int(bodies[part].sum()) > PADDED:
            middle = (part.start + part.stop) // 2
            waiting += [slice(middle, part.stop), slice(part.start, middle)]
        else:
            yield part
