"""A few small finished runs on generated clips, for notebooks that want runs and have none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.evaluate.run import evaluate
from c2vl_lab.experiment import open_experiment, pretrain
from c2vl_lab.run_config import RunConfig

ARMS = ("skeletonclr", "full")


def example_runs(
    folder: str | Path,
    work_dir: str = "work",
    seeds: Sequence[int] = (0, 1),
    epochs: int = 8,
    arms: Sequence[str] = ARMS,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Train and measure some arms with each seed on clips that are generated; what is finished stays.

    The full method learns from sentences and rendered pictures, and keeps the state of every second epoch. The runs
    show what the workbench draws; they are far too small to tell anything of a method.

    Args:
        folder: gets a folder for each run, such as ``full-s0``.
        work_dir: where stores and caches are.
        seeds: of each arm.
        epochs: of each run.
        arms: which methods.
        progress: receives a line for each step.

    Returns:
        ``folder``.
    """
    store = open_dataset("generated", work_dir=work_dir, progress=progress, performers=2, frames_max=50)
    for arm in arms:
        for seed in seeds:
            target = Path(folder) / f"{arm}-s{seed}"
            if (target / "results.json").is_file():
                continue
            config = RunConfig(
                dataset=str(store.path),
                work_dir=work_dir,
                arm=arm,
                modalities="language+vision" if arm == "full" else "language",
                pictures="rendered" if arm == "full" else "",
                pictures_per_clip=1,
                seed=seed,
                epochs=epochs,
                batch_size=16,
                knn_every=2,
                keep_every=2 if arm == "full" else 0,
            )
            experiment = open_experiment(config, progress)
            pretrain(experiment, target, progress)
            evaluate(experiment, target, progress)
    return Path(folder)
