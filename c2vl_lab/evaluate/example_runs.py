"""A few small finished runs on generated clips, for notebooks that want runs and have none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from c2vl_lab.artifacts import only_writer
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.evaluate.run import evaluate
from c2vl_lab.experiment import open_experiment, pretrain
from c2vl_lab.run_config import RunConfig

FOLDER = Path("runs") / "example"  # under the work folder; all notebooks share it, so each run is trained once
ARMS = ("untrained", "skeletonclr", "full")
SEEDS = (0, 1)
EPOCHS = 8
PERFORMERS, LONGEST = 2, 50  # of the generated clips; frames


def example_runs(
    work_dir: str | Path = "work",
    arms: Sequence[str] = ARMS,
    seeds: Sequence[int] = SEEDS,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Train and measure some arms with each seed on clips that are generated; what is finished stays.

    The full method learns from sentences and rendered pictures, and keeps the state of every second epoch. The runs
    show what the workbench draws; they are far too small to tell anything of a method.

    Args:
        work_dir: where stores, caches and runs are.
        arms: which methods.
        seeds: of each arm.
        progress: receives a line for each step.

    Returns:
        The folder of these runs; it holds a folder for each, such as ``full-s0``.
    """
    folder = Path(work_dir) / FOLDER
    store = open_dataset("generated", "", work_dir, progress, performers=PERFORMERS, frames_max=LONGEST)
    for arm in arms:
        for seed in seeds:
            target = folder / f"{arm}-s{seed}"
            with only_writer(target):  # another notebook may be at it
                if not (target / "results.json").is_file():
                    experiment = open_experiment(_settings(arm, seed, str(store.path), str(work_dir)), progress)
                    pretrain(experiment, target, progress)
                    evaluate(experiment, target, progress)
    return folder


def _settings(arm: str, seed: int, dataset: str, work_dir: str) -> RunConfig:
    """Those of one run; the full method sees all kinds of prompts, so that every figure has something to show."""
    full = arm == "full"
    return RunConfig(
        dataset=dataset,
        work_dir=work_dir,
        arm=arm,
        modalities="language+vision" if full else "language",
        pictures="rendered" if full else "",
        pictures_per_clip=1,
        seed=seed,
        epochs=EPOCHS,
        batch_size=16,
        knn_every=2,
        keep_every=2 if full else 0,
    )
