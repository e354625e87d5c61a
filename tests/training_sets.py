"""Small training sets and what tests ask of trained weights."""

import numpy as np
import torch

from c2vl_lab.data.layouts import KINECT20
from c2vl_lab.training.settings import FitConfig, TrainingSet

SMALL = FitConfig(width=16, epochs=6, batch_size=8, frames=16, checkpoint_every=2)
TINY = FitConfig(width=16, epochs=3, batch_size=4, frames=8, checkpoint_every=1)


def training_set(seed=0, clips=24, **more):
    """Random clips with concepts, labels, and three performers."""
    rng = np.random.default_rng(seed)
    unit = rng.normal(size=(clips, 12)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return TrainingSet(
        clips=rng.normal(size=(clips, 64, 1, 20, 3)).astype(np.float32),
        names=[f"clip{i}" for i in range(clips)],
        layout=KINECT20,
        concepts={"language": unit},
        taus={"language": 0.1},
        labels=rng.integers(0, 3, clips),
        classes=3,
        **more,
    )


def weights(learner):
    """A copy of all tensors of a learner."""
    return {name: value.clone() for name, value in learner.state_dict().items()}


def same(one, two):
    """Whether two sets of tensors are equal to the bit."""
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def steady(rows):
    """Rows of a log without what the clock says."""
    clock = ("seconds", "seconds_left", "clips_per_second")
    return [{name: value for name, value in row.items() if name not in clock} for row in rows]
