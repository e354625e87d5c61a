"""Training in float64 for the tests of several processes.

Run as a program it is one of them: RANK OF MEETING OUTPUT, and RUN for a run of that name, and "held" to be killed.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

import numpy as np
import torch

from c2vl_lab.config import replace
from c2vl_lab.data.draws import epoch_order
from c2vl_lab.data.layouts import KINECT20
from c2vl_lab.dist import add_up, anywhere, gather, own_part, rank
from c2vl_lab.objective import ObjectiveConfig
from c2vl_lab.training import fit as training
from c2vl_lab.training.build import build_learner, build_optimizer
from c2vl_lab.training.compiling import CompiledParts
from c2vl_lab.training.settings import FitConfig, TrainingSet
from c2vl_lab.training.step import Moment, Step

FULL = ObjectiveConfig(alpha_max=0.6, schedule="fixed", two_view_weight=0.5)
SMALL = FitConfig(width=8, epochs=4, batch_size=8, frames=12, checkpoint_every=1, lr=2e-3, sync_norm=True)
CASES = {
    "c2vl": replace(SMALL, objective=FULL),
    "skeletonclr": replace(SMALL, method="skeletonclr"),
    "supervised": replace(SMALL, method="supervised"),
    "stgcn": replace(SMALL, encoder="stgcn", width=4, objective=ObjectiveConfig(alpha_max=0.6, schedule="fixed")),
    "unequal parts": replace(SMALL, batch_size=7, objective=FULL),
    "accumulated": replace(SMALL, accumulate=2, objective=FULL),
}
# each process by itself is what each half of a batch is in one process; eighths of the batch are halves of the parts
APART = replace(SMALL, sync_norm=False, objective=FULL)
APART_IN_PIECES = replace(APART, micro_batch=2)
WEIGHTS = torch.arange(10.0).view(5, 2)  # of the loss in the gather's test; process r has (r + 1) times these


def training_set(clips: int = 24, bodies: int = 1) -> TrainingSet:
    """Noise, in which single clips can be told apart by nothing but their values."""
    rng = np.random.default_rng(0)
    concepts = {}
    for modality in ("vision", "language"):
        rows = rng.normal(size=(clips, 12)).astype(np.float32)
        concepts[modality] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return TrainingSet(
        clips=rng.normal(size=(clips, 64, bodies, 20, 3)).astype(np.float32),
        names=[f"clip{i}" for i in range(clips)],
        layout=KINECT20,
        concepts=concepts,
        taus={"vision": 0.2, "language": 0.1},
        labels=rng.integers(0, 3, clips),
        classes=3,
    )


def without_dropout(learner):
    for module in learner.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    return learner


def double_learner(config: FitConfig, data: TrainingSet):
    learner = without_dropout(build_learner(config, data, "cpu")).double().train()
    if hasattr(learner, "concepts"):
        learner.concepts = {modality: rows.double() for modality, rows in learner.concepts.items()}
    return learner


def train(config: FitConfig, steps: int = 4) -> dict[str, torch.Tensor]:
    """Weights, statistics, the terms of each step and the first gradient, in float64."""
    data = training_set()
    learner = double_learner(config, data)
    optimizer = build_optimizer(learner, config)
    step, clips = Step(learner, config, len(data.clips)), torch.from_numpy(data.clips).double()
    found = {}
    for index in range(steps):
        rows = epoch_order(config.seed, index + 1, len(data.clips))[: config.clips_per_step]
        optimizer.zero_grad(set_to_none=True)
        terms = step(rows, clips[step.own(rows)], Moment(index + 1, index, index / steps))
        if index == 0:  # Adam would forgive a wrong factor
            found |= {f"gradient of {n}": p.grad.clone() for n, p in learner.named_parameters() if p.requires_grad}
        optimizer.step()
        learner.after_step()
        found |= {f"step {index}, {name}": term for name, term in terms.items()}
    return found | {name: value.clone() for name, value in learner.state_dict().items()}


def fit_small(run_dir: Path, **more) -> dict[str, torch.Tensor]:
    """The whole loop without dropout, in float32; returns the weights."""
    training.build_learner = lambda *given: without_dropout(build_learner(*given))
    learner = training.fit(replace(SMALL, objective=FULL), training_set(), run_dir, "cpu", **more)
    return {name: value.clone() for name, value in learner.state_dict().items()}


def held(run_dir: Path) -> None:
    """Process 1 goes no further than into the second epoch: it waits to be killed, and process 0 for it."""
    asked = []

    def stop() -> bool:
        asked.append(1)
        while rank() == 1 and len(asked) > 5:
            time.sleep(0.1)
        return False

    fit_small(run_dir, progress=lambda line: print(line, flush=True), stop=stop)


def gather_gradient() -> dict[str, torch.Tensor]:
    own = WEIGHTS[own_part(5)].double().requires_grad_()
    whole = gather(own, 5)
    (whole * WEIGHTS * (rank() + 1)).sum().backward()
    return {"whole": whole.detach(), "gradient": own.grad}


def stopped_and_resumed(run_dir: Path) -> dict[str, torch.Tensor]:
    """Process 1 alone is told to stop, when it is asked for the fourth time."""
    asked = []
    stop = lambda: asked.append(1) or (rank() == 1 and len(asked) == 4)  # noqa: E731
    try:
        fit_small(run_dir, stop=stop)
    except training.StoppedError as error:
        return fit_small(run_dir) | {"said": torch.tensor([*str(error).encode()])}
    raise AssertionError("it did not stop")


def watched(run_dir: Path) -> dict[str, torch.Tensor]:
    """A run that is watched, and how often this process looked."""
    looks = []
    training.neighbour_accuracy = lambda *given: looks.append(1) or 0.25
    data = dataclasses.replace(training_set(), watch_labels=np.arange(24) % 2)
    learner = training.fit(replace(SMALL, method="supervised", epochs=2, knn_every=1), data, run_dir, "cpu")
    return {"looks": torch.tensor(len(looks)), **{name: value.clone() for name, value in learner.state_dict().items()}}


def trials() -> dict[str, torch.Tensor]:
    """Three parts are tried, a good one and two that fail in process 1 alone: which are compiled, what was said."""
    said: list[str] = []
    calls = []
    parts = CompiledParts(torch.nn.Identity(), False, said.append)

    def good() -> list[torch.Tensor]:
        return [add_up(torch.ones(1))]  # a part may meet the others itself

    def error() -> list[torch.Tensor]:
        calls.append(1)
        if rank() == 1 and len(calls) == 2:
            raise RuntimeError("no")
        return [torch.ones(1)]

    def numbers() -> list[torch.Tensor]:
        return [torch.ones(1) + rank()]

    found = [parts._agree("good", good, good())]
    found += [parts._agree(name, run, [torch.ones(1)]) for name, run in (("error", error), ("numbers", numbers))]
    return {"parts": torch.tensor(found), "said": torch.tensor([*"\n".join(said).encode()])}


def everything(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    found = {name: train(config) for name, config in CASES.items()}
    found |= {"apart": train(APART), "apart in pieces": train(APART_IN_PIECES)}
    found |= {"gather": gather_gradient(), "flags": {"some": torch.tensor([anywhere(rank() == 1), anywhere(False)])}}
    found |= {"watched": watched(folder / "watched"), "compiled": trials()}
    return found | {"fit": fit_small(folder / "whole"), "resumed": stopped_and_resumed(folder / "stopped")}


if __name__ == "__main__":
    torch.set_num_threads(1)
    number, count, meeting, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=number, world_size=count)
    if len(sys.argv) > 6:  # a run that is to be killed
        held(folder / sys.argv[5])
    elif len(sys.argv) > 5:
        fit_small(folder / sys.argv[5], progress=lambda line: print(line, flush=True))
    else:
        torch.save(everything(folder), folder / f"process{number}.pt")
    torch.distributed.destroy_process_group()
