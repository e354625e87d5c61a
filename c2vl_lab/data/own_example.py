"""An example of what one's own recordings may look like: files of generated people in another skeleton's joints.

Coordinates are as a motion-capture program writes them: 17 joints in COCO's order, millimetres, z up, NaN where a
joint was not seen; one array a clip, with a second axis for people where there are two.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from c2vl_lab.artifacts import atomic_folder
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.generated import GeneratedConfig, generate
from c2vl_lab.data.generated_actions import ACTIONS
from c2vl_lab.data.layouts import COCO17, NTU25
from c2vl_lab.data.writing import storage_errors

AS_WRITTEN = ("coco17", "z", 0.001)  # layout, axis that points up and unit of the example
CHOSEN = ("wave with the right hand", "sit down", "walk forward", "shake hands with another person")
# where the face lies, seen from the head's middle: metres to the person's right, up and to the front
FACE = {
    "nose": (0.0, -0.02, 0.10),
    "left_eye": (-0.03, 0.02, 0.08),
    "right_eye": (0.03, 0.02, 0.08),
    "left_ear": (-0.07, 0.0, 0.0),
    "right_ear": (0.07, 0.0, 0.0),
}


def write_example(folder: str | Path, performers: int = 6) -> Path:
    """Write ``table.csv`` (name, label, subject) and one ``<name>.npy`` a clip; 4 actions by each performer.

    Args:
        folder: made if it is not there; an example that is there already is left as it is.
        performers: number of people.

    Returns:
        The folder.

    Raises:
        StorageError: the disk is full or the folder read-only.
    """
    folder = Path(folder)
    if (folder / "table.csv").is_file():
        return folder
    labels = list(ACTIONS)
    clips = generate(GeneratedConfig(performers=performers, frames_max=50))
    chosen = [clip for clip in clips if clip.camera == 2 and labels[clip.label] in CHOSEN]
    rows = [{"name": clip.name, "label": labels[clip.label], "subject": clip.subject} for clip in chosen]
    with storage_errors(folder), atomic_folder(folder) as temporary:
        for clip in chosen:
            np.save(temporary / f"{clip.name}.npy", as_recorded(clip), allow_pickle=False)
        pd.DataFrame(rows).to_csv(temporary / "table.csv", index=False)
    return folder


def as_recorded(clip: Clip) -> np.ndarray:
    """A generated clip as (T, 17, 3), or (T, M, 17, 3) for several people: millimetres, z up, NaN where not seen."""
    xyz, place = clip.xyz, NTU25.index
    right = xyz[:, :, place("right_shoulder")] - xyz[:, :, place("left_shoulder")]
    right = right * [1, 0, 1] / np.maximum(np.linalg.norm(right[..., [0, 2]], axis=-1, keepdims=True), 1e-6)
    axes = np.stack([right, np.broadcast_to([0.0, 1.0, 0.0], right.shape), np.cross([0.0, 1.0, 0.0], right)], axis=-2)
    points = []
    for joint in COCO17.joints:
        if joint in FACE:
            points.append(xyz[:, :, place("head")] + np.asarray(FACE[joint]) @ axes)
        else:
            points.append(xyz[:, :, place(joint)])
    recorded = np.stack(points, axis=2)
    recorded = 1000 * np.stack([recorded[..., 0], -recorded[..., 2], recorded[..., 1]], axis=-1)
    recorded[~clip.present] = np.nan
    return (recorded if xyz.shape[1] > 1 else recorded[:, 0]).astype(np.float32)
