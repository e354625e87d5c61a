"""A small joint space with hostile texts: four classes, each a blob of its own, in three states of training."""

import numpy as np
import pandas as pd

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.writing import write_store
from c2vl_lab.errors import ConfigError
from c2vl_lab.explorer.space import JointSpace, purity

EVIL = '</script><script>window.hit=1</script><img src=x onerror="window.hit=1"> & <b>bold</b>'
CLASSES = ["wave", "sit down", "throw", f"kick {EVIL}"]
STAGES = ["before training", "epoch 5", "after training"]
DIM = 8


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


class WordFinder:
    """A text is where its class is; a mirror image is the opposite of its clip."""

    def __init__(self, points):
        self.points, self.asked = points, []

    def words(self, text):
        self.asked.append(text)
        if "nothing" in text:
            raise ConfigError(f"No idea what {text} is.")
        return self.points["class prompt"][next((k for k, name in enumerate(CLASSES) if name in text), 0)]

    def mirror(self, clip):
        return -self.points["skeleton"][clip]


def clips_of(count):
    rng = np.random.default_rng(1)
    path = np.cumsum(rng.normal(0, 0.02, (count, 12, 1, 25, 3)), axis=1) + rng.normal(0, 0.3, (count, 1, 1, 25, 3))
    for k in range(count):
        name = f"clip {k}" if k else f"clip 0 {EVIL}"
        yield Clip(name, path[k].astype(np.float32), np.ones((12, 1), bool), np.arange(12), k % 4, subject=k % 3 + 1)


def joint_space(folder, count=40):
    """``count`` clips, written as a store; clip k is of class k % 4. Clip 1 has no picture."""
    store = write_store(
        folder / "store", clips_of(count), dataset="small", layout=NTU25, classes=CLASSES, generated=True
    )
    rng, labels = np.random.default_rng(0), np.arange(count) % 4
    centers = unit(np.eye(DIM)[:4] + 0.1 * rng.normal(size=(4, DIM)))
    views = {}
    for number, stage in enumerate(STAGES):
        spread = (1.5, 0.5, 0.1)[number]
        views[stage] = {
            "skeleton": unit(centers[labels] + spread * rng.normal(size=(count, DIM))),
            "language": unit(centers[labels] + 0.1 * rng.normal(size=(count, DIM))),
            "vision": unit(centers[labels] + 0.2 * rng.normal(size=(count, DIM))),
            "class prompt": centers,
        }
        views[stage]["vision"][1] = np.nan
    table = pd.DataFrame({"name": store.names, "class": [CLASSES[k] for k in labels]})
    table["predicted"] = [CLASSES[(k + (i % 10 == 0)) % 4] for i, k in enumerate(labels)]
    table["right"] = np.where(table["predicted"] == table["class"], "right", "wrong")
    table["subject"] = (np.arange(count) % 3 + 1).astype(str)
    table["purity"] = purity(views[STAGES[-1]]["skeleton"], labels, 5)
    sentences = {name: [f"{name} says <i>this</i>.", f"Second {EVIL}."] for name in store.names}
    picture = np.full((20, 30, 3), 200, np.uint8)
    return JointSpace(
        table=table,
        classes=CLASSES,
        views=views,
        main=STAGES[-1],
        stages=STAGES,
        sentences=sentences,
        pictures=lambda name: [picture],
        store=store,
        finder=WordFinder(views[STAGES[-1]]),
        work_dir=str(folder / "work"),
        note="generated clips, no recordings",
    )
