"""One's own recordings as a store: arrays, a table of names and labels, and a joint layout.

::

    table = pd.read_csv("recordings.csv")  # name, label, subject
    arrays = (np.load(f"recordings/{name}.npy") for name in table["name"])  # each (frames, joints, 3), metres, y up
    store = store_from_arrays("work/stores/mine", arrays, table, layout="coco17")
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from c2vl_lab.artifacts import read_json
from c2vl_lab.data.align import spread
from c2vl_lab.data.clips import Clip, printable
from c2vl_lab.data.disk import storage_errors
from c2vl_lab.data.joint_gaps import fill_joints
from c2vl_lab.data.layouts import JointLayout, known_layout, layout_from_bones
from c2vl_lab.data.own_table import NUMBERS, numbered
from c2vl_lab.data.store import SPLIT, SkeletonStore
from c2vl_lab.data.writing import write_store
from c2vl_lab.errors import C2VLError, ConfigError, DataError, MissingError

LARGEST = 20.0  # metres of root mean square distance from a body's middle; a person has about 0.5, a hand 0.05
SMALLEST = 0.005  # below it a person would be 2 cm tall
SHOWN = 300  # characters of a value in a message
# Rotations (never mirror images) that bring the named axis up: new x, y, z out of the old ones.
UP = {
    "y": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "-y": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
    "z": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "-z": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "x": [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
    "-x": [[0, 1, 0], [-1, 0, 0], [0, 0, 1]],
}
NOT_2D = "Skeletons in a picture (x, y) are not supported: bring them into three dimensions first."


def store_from_arrays(
    path: str | Path,
    arrays: Iterable[Any],
    table: pd.DataFrame,
    layout: JointLayout | Mapping[str, str | None] | str,
    classes: Sequence[str] | None = None,
    dataset: str = "mine",
    up: str = "y",
    unit: float = 1.0,
    generated: bool = False,
    replace: bool = False,
) -> SkeletonStore:
    """A store of one's own recordings; everything later (captions, training, evaluation, suites) works on it.

    A joint that is not finite (NaN) is filled from the frames of the same body in which it is known; where there is
    none, it takes the place of its bone's other end, so that a joint that no clip knows is better left out of arrays
    and layout. Frames of a body that are all zero, or in which fewer than half of its joints are finite, count as not
    tracked: they keep their place in time and are filled when clips are prepared. The store's notes count all this.
    Words for speed and duration in the captions take 30 frames a second.

    Args:
        path: folder of the new store; one of the same content that is there already is opened.
        arrays: for each clip coordinates (T, V, 3) or (T, M, V, 3) of any T and M, right-handed. Any iterable: a
            generator that loads one file after another keeps memory small.
        table: one row a clip, in the order of ``arrays``: ``name`` and ``label`` (class name, or a number), where
            known ``subject``, ``camera``, ``setup``, ``trial`` (whole numbers; of texts, the distinct ones are numbered
            in sorted order, and the notes say so), and for a split of one's own a column ``split:<protocol>`` of
            "train" and "test". Without one, odd subjects train and even ones test ("xsub"),
            or camera 1 tests ("xview").
        layout: joints of all arrays in their order: a layout; ``{joint: parent joint}`` with None for the root, or
            the path of a ``.json`` file that holds it; or the name of a known one (coco17, h36m17, smpl22, ntu25,
            kinect20). Joints may be called as one likes.
        classes: class names in label order; a label that is a number is a place in it, from 0. None: the table's
            labels in sorted order.
        dataset: short name of the set, shown in reports.
        up: the axis that points up in the arrays: y, -y (as in many cameras), z (as in motion capture), -z, x or -x.
        unit: metres in one unit of the arrays: 0.001 for millimetres.
        generated: True for arrays that are no recordings; tables, figures and reports then say so.
        replace: put the new store in the place of an older one of other content, once the new one is complete.

    Raises:
        ConfigError: an unknown layout or axis, bones that are no tree, or another store or folder at ``path``.
        MissingError: there is no such layout file.
        DataError: table and arrays do not fit together, an unknown label, a wrong shape, coordinates that are no
            metres, or a clip without a usable frame; the sentence names row (from 0) and clip.
        StorageError: the disk is full or the folder read-only.
    """
    joints = _layout(layout, dataset)
    if up not in UP:
        raise ConfigError(f"{dataset}: up wants one of {', '.join(UP)}; found {up!r}.")
    if not (np.isfinite(unit) and unit > 0):
        raise ConfigError(f"{dataset}: unit wants the metres in one unit of the arrays, found {unit!r}.")
    notes: dict[str, Any] = {}
    facts, names = _facts(numbered(table, notes), classes, dataset)
    if isinstance(arrays, Sized) and len(arrays) != len(facts):
        raise DataError(f"{dataset}: wanted one table row an array, found {len(facts)} rows and {len(arrays)} arrays.")
    turn = np.array(UP[up], np.float32).T * np.float32(unit)
    clips = _clips(iter(arrays), facts, joints, turn, dataset, notes)
    settings: dict[str, Any] = {"dataset": dataset, "layout": joints, "classes": names, "generated": generated}
    path = Path(path)
    with storage_errors(path):
        taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
    if taken and not (path / "meta.json").is_file():
        raise ConfigError(f"{path}: wanted a new folder or a store, found something else, which stays as it is.")
    if not taken or replace:
        return write_store(path, clips, **settings, notes=notes)
    older = _readable(path)
    if older is None or older.names != [fact["name"] for fact in facts]:
        raise ConfigError(_KEPT.format(path=path))
    with storage_errors(path), TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as beside:
        newer = write_store(Path(beside) / "store", clips, **settings, notes=notes)
        if _content(newer) != _content(older):
            raise ConfigError(_KEPT.format(path=path))
    return older


_KEPT = (
    "{path}: another store is there (other clips, labels, columns or layout), which stays as it is. Give the new one "
    "another name (dataset=, or the path), or pass replace=True to store_from_arrays to lose the older one."
)


def _readable(path: Path) -> SkeletonStore | None:
    """The store at ``path``; None for one that is damaged or of another format."""
    try:
        return SkeletonStore.open(path)
    except C2VLError:
        return None


def _content(store: SkeletonStore) -> tuple[Any, ...]:
    """All that makes a store what it is."""
    kept = {key: store.meta.get(key) for key in ("dataset", "layout", "classes", "generated", "fingerprint")}
    return kept, store.clips.to_csv(index=False)


def _layout(layout: JointLayout | Mapping[str, str | None] | str, dataset: str) -> JointLayout:
    """A layout from what the caller gave."""
    if isinstance(layout, JointLayout):
        return layout
    if isinstance(layout, str) and not layout.endswith(".json"):
        return known_layout(layout)
    if isinstance(layout, str) and not Path(layout).is_file():
        raise MissingError(f"{dataset}: there is no file {layout} with the layout's {{joint: parent joint}}.")
    bones = read_json(Path(layout)) if isinstance(layout, str) else layout
    if not isinstance(bones, Mapping):
        raise ConfigError(f"{layout}: wanted an object {{joint: parent joint}} with null for the root.")
    return layout_from_bones(dataset, bones)


def _facts(table: pd.DataFrame, classes: Sequence[str] | None, dataset: str) -> tuple[list[dict[str, Any]], list[str]]:
    """What the table says of each clip, as arguments of a clip; and the class names."""
    wanted = [column for column in ("name", "label") if column not in table.columns]
    if wanted:
        raise DataError(f"{dataset}: the table lacks the columns {wanted}; it has {list(table.columns)}.")
    labels = table["label"].tolist()
    names = [str(name) for name in (classes if classes is not None else _sorted_labels(labels, dataset))]
    protocols = {str(c): str(c).removeprefix(SPLIT) for c in table.columns if str(c).startswith(SPLIT)}
    facts: list[dict[str, Any]] = []
    for number, row in enumerate(table.to_dict(orient="records")):
        name = str(row["name"])
        where = f"{dataset}, row {number}, clip {_brief(name)}"
        try:
            column, numbers = "label", {}
            label = _label(labels[number], names, classes is not None, where)
            for column in NUMBERS:
                numbers[column] = _whole(row.get(column, 0))
        except (ValueError, TypeError, OverflowError) as error:
            raise DataError(f"{where}: column {column} wants whole numbers ({_brief(error)}).") from error
        splits = {protocols[column]: _part(row[column], column, where) for column in protocols}
        splits = {protocol: part for protocol, part in splits.items() if part}
        facts.append({"name": name, "label": label, "source": where, "splits": splits, **numbers})
    return facts, names


def _sorted_labels(labels: list[Any], dataset: str) -> list[Any]:
    """The labels that occur, in order: numbers as numbers, words as words."""
    odd = [number for number, label in enumerate(labels) if not pd.api.types.is_scalar(label)]
    if odd:
        raise DataError(f"{dataset}, row {odd[0]}: wanted a class name or a number, found {_brief(labels[odd[0]])}.")
    absent = [number for number, label in enumerate(labels) if pd.isna(label)]
    if absent:
        raise DataError(f"{dataset}, row {absent[0]}: the label is empty ({len(absent)} such rows).")
    known = set(labels)
    return sorted(known, key=str if any(isinstance(label, str) for label in known) else None)


def _label(label: Any, names: list[str], by_place: bool, where: str) -> int:
    """A label's place among the class names."""
    if by_place and not isinstance(label, str):
        return _whole(label)
    if str(label) not in names:
        raise DataError(f"{where}: label '{_brief(label)}' is none of the classes {_brief(names)}.")
    return names.index(str(label))


def _whole(value: Any) -> int:
    """A whole number, or a ValueError."""
    if isinstance(value, str) or int(value) != value:
        raise ValueError(f"found {value!r}")
    return int(value)


def _part(value: Any, column: str, where: str) -> str:
    """ "train", "test", or "" for neither."""
    if pd.api.types.is_scalar(value) and (pd.isna(value) or value == ""):
        return ""
    if not isinstance(value, str) or value not in ("train", "test"):
        raise DataError(f"{where}: {column} wants 'train', 'test' or nothing, found {_brief(repr(value))}.")
    return value


def _brief(value: Any) -> str:
    """The start of a text, printable, for a message."""
    text = printable(str(value))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _clips(
    arrays: Iterator[Any],
    facts: list[dict[str, Any]],
    layout: JointLayout,
    turn: np.ndarray,
    dataset: str,
    notes: dict[str, Any],
) -> Iterator[Clip]:
    """One clip after another; ``notes`` gets what had to be repaired."""
    broken: Counter[str] = Counter()
    for number, fact in enumerate(facts):
        try:
            array = next(arrays)
        except StopIteration:
            raise DataError(f"{dataset}: the table has {len(facts)} rows, the arrays end after {number}.") from None
        except (OSError, ValueError, EOFError) as error:  # a generator that loads files
            raise DataError(f"{fact['source']}: its array cannot be loaded ({_brief(error)}).") from error
        xyz, present, found = _coordinates(array, layout, turn, fact["source"])
        if found:
            broken.update(found, clips=1)
            notes["joints that were not finite"] = (
                f"in {broken['clips']} clips: {broken['filled']} joints filled from other frames, "
                f"{broken['never']} never known and put at their bone's other end; {broken['lost']} frames of a body "
                f"with fewer than half of its joints count as not tracked"
            )
        yield Clip(xyz=xyz, present=present, frames=np.arange(len(xyz), dtype=np.int32), **fact)
    if next(arrays, None) is not None:
        raise DataError(f"{dataset}: the table has {len(facts)} rows, there are more arrays than that.")


def _coordinates(
    array: Any, layout: JointLayout, turn: np.ndarray, where: str
) -> tuple[np.ndarray, np.ndarray, Counter[str]]:
    """(T, M, V, 3) metres with y up, (T, M) tracked, and what was not finite."""
    try:
        xyz = np.asarray(array)
        if xyz.dtype.kind == "c":
            raise ValueError("found complex ones")
        with np.errstate(over="ignore"):  # what is beyond float32 is infinite, and that is looked for below
            xyz = xyz.astype(np.float32)
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: wanted an array of numbers ({_brief(error)}).") from error
    wanted = f"(frames, {len(layout)}, 3) or (frames, bodies, {len(layout)}, 3) for layout {layout.name}"
    if xyz.ndim in (3, 4) and xyz.shape[-1] == 2:
        raise DataError(f"{where}: wanted {wanted}, found {xyz.shape}. {NOT_2D}")
    if xyz.ndim == 3:
        xyz = xyz[:, None]
    if xyz.ndim != 4 or xyz.shape[2:] != (len(layout), 3) or not xyz.size:
        raise DataError(f"{where}: wanted {wanted}, found {np.shape(array)}.")
    finite: np.ndarray = np.asarray(np.isfinite(xyz).all(axis=-1))  # (T, M, V)
    seen_at_all = np.any((xyz != 0) & finite[..., None], axis=(2, 3))
    xyz, present, filled = fill_joints(xyz, seen_at_all, layout)
    if not present.any():
        raise DataError(f"{where}: no frame has half of the joints.{_worst(finite, layout)}")
    seen = xyz[present]
    if np.ptp(seen[..., 2]) == 0 and np.ptp(seen[..., :2]) > 0:
        raise DataError(f"{where}: the third coordinate is {seen[0, 0, 2]:g} everywhere. {NOT_2D}")
    with np.errstate(over="ignore", invalid="ignore"):  # absurdly large numbers: the size is infinite then
        xyz = xyz @ turn
        size = float(np.median(spread(xyz[present])))
    if not size <= LARGEST:
        raise DataError(
            f"{where}: the joints lie {size:.0f} metres from their middle, so the coordinates are no metres. Pass "
            f"unit=0.001 for millimetres, unit=0.01 for centimetres. {NOT_2D}"
        )
    if 0 < size < SMALLEST:
        raise DataError(
            f"{where}: the joints lie {1000 * size:.2g} millimetres from their middle, so the coordinates are no "
            f"metres. Pass unit=1 (the default) for arrays in metres; scale normalised ones until a person is 1.7 tall."
        )
    never = int((filled & ~(finite & present[..., None]).any(axis=0)).sum())
    lost = int((seen_at_all & ~present).sum())
    return xyz, present, +Counter(filled=int(filled.sum()) - never, never=never, lost=lost)


def _worst(finite: np.ndarray, layout: JointLayout) -> str:
    """Which joint spoils a clip."""
    known = finite.any(axis=1).mean(axis=0)  # share of the frames, for each joint
    joint = int(known.argmin())
    if known[joint] == 1:
        return " All of them are zero."
    share = f"Joint '{layout.joints[joint]}' is not finite in {100 * (1 - known[joint]):.0f} % of the frames"
    return f" {share}; leave the clip out, or the joint out of arrays and layout."
