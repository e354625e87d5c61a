"""Measure the probes on features of NTU-60's size against their references: ``python -m benchmarks.probes``.

CPU time of one thread, both in one process and in turns, the median of the rounds' ratios. Neighbours: scikit-learn
asked once a k, as one must, and its bare search of the largest k. Probes: the same gradient descent written with
torch's layer, loss, optimiser and loader, over a few epochs; and each named probe whole, its choice of a learning rate
included. Features are drawn around class centres, nothing is asserted; accuracies stand beside the times.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measuring import Row, one_thread, paired, ratio, tell

one_thread()

import numpy as np  # noqa: E402 - after the number of threads is set
import torch  # noqa: E402

from c2vl_lab.evaluate.neighbours import NEIGHBOURS, nearest_neighbours  # noqa: E402
from c2vl_lab.evaluate.probes import linear_probe  # noqa: E402
from c2vl_lab.evaluate.sgd_probe import SGD_PROBES, SGDSettings, descend, sgd_probe  # noqa: E402

LIMIT = 120.0  # seconds that 100 epochs may take


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        clips: of the training part (NTU-60 x-sub).
        queries: test clips whose neighbours are looked for.
        dim, classes: of the features.
        repeats: rounds of each pair.
        epochs: of the reference's descent; its time is scaled to the settings' own number.
        device: of ours.
    """

    clips: int = 40_091
    queries: int = 2_000
    dim: int = 256
    classes: int = 60
    repeats: int = 3
    epochs: int = 2
    device: str = "cpu"


def features(sizes: Sizes, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, D) float32 around the class centres, and their classes."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(sizes.classes, sizes.dim))
    labels = rng.integers(sizes.classes, size=count)
    return (centres[labels] + 4 * rng.normal(size=(count, sizes.dim))).astype(np.float32), labels


def neighbour_rows(sizes: Sizes) -> list[Row]:
    """All k in one pass against scikit-learn once a k, and against its one search of 20 alone."""
    from sklearn.neighbors import KNeighborsClassifier

    (bank, labels), (queries, _) = features(sizes, sizes.clips, 0), features(sizes, sizes.queries, 1)
    models = {
        k: KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(bank, labels)
        for k in NEIGHBOURS
        if k <= len(bank)
    }
    answers: dict[str, Any] = {}

    def ours() -> None:
        answers["ours"] = nearest_neighbours(bank, labels, queries, centred=False, device=sizes.device)

    def theirs() -> None:
        answers["theirs"] = {k: model.predict(queries) for k, model in models.items()}

    def search() -> None:
        models[max(models)].kneighbors(queries)

    times = paired([ours, theirs, search], sizes.repeats)
    same = np.mean([(answers["ours"][k] == answers["theirs"][k]).mean() for k in models])
    what = f"neighbours, all k, {sizes.queries:,} queries, {sizes.clips:,} x {sizes.dim}"
    each = [statistics.median(own) * 1e3 / sizes.queries for own in times]
    remark = f"{100 * same:.2f} % of the answers are the same"
    both = [
        ("scikit-learn, once a k", ratio(times[0], times[1]), ">= 3x"),
        (f"scikit-learn, the search for {max(models)} alone", ratio(times[0], times[2]), ""),
    ]
    return [
        Row(
            what, each[0], "ms/query", reference, each[1 + place], found, target, found >= 3 if target else None, remark
        )
        for place, (reference, found, target) in enumerate(both)
    ]


def plain_descent(
    rows: torch.Tensor, targets: torch.Tensor, classes: int, settings: SGDSettings, epochs: int
) -> Callable[[], torch.nn.Linear]:
    """The probe as one writes it: a linear layer, a loader of single rows, torch's loss and optimiser."""

    def run() -> torch.nn.Linear:
        layer = torch.nn.Linear(rows.shape[1], classes)
        optimizer = torch.optim.SGD(layer.parameters(), settings.rates[0], momentum=settings.momentum)
        loader = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(rows, targets), batch_size=settings.batch_size, shuffle=True
        )
        for _ in range(epochs):
            for batch, wanted in loader:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(layer(batch), wanted).backward()
                optimizer.step()
        return layer

    return run


def probe_rows(sizes: Sizes) -> list[Row]:
    """Each probe whole; then the published settings against the plain descent, in turns over a few epochs."""
    (train, labels), (test, truth) = features(sizes, sizes.clips, 0), features(sizes, sizes.queries, 1)
    rows, targets = torch.from_numpy(train), torch.from_numpy(labels)
    groups = np.arange(sizes.clips) % 20
    found = []
    for name, settings in SGD_PROBES.items():
        clock = time.process_time if sizes.device == "cpu" else time.perf_counter
        start, began = clock(), time.perf_counter()
        probe = sgd_probe(train, labels, groups, test, name, 0, sizes.device)  # ends with the weights on the processor
        seconds, waited = clock() - start, time.perf_counter() - began
        right = 100 * (probe.predicted == truth).mean()
        remark = f"accuracy {right:.1f} %, learning rate {probe.setting:g}, {waited:.0f} s by the clock"
        what = f"probe '{name}' whole, {settings.epochs} epochs, {sizes.clips:,} x {sizes.dim}"
        found.append(Row(what, seconds, "s", target=f"<= {LIMIT:g} s", met=seconds <= LIMIT, remark=remark))
    start = time.process_time()
    probe = linear_probe(train, labels, groups, test)
    seconds, right = time.process_time() - start, 100 * (probe.predicted == truth).mean()
    what = f"the default, logistic regression, whole, {sizes.clips:,} x {sizes.dim}"
    remark = f"accuracy {right:.1f} %, C {probe.setting:g}; on the processor wherever the others run"
    found.append(Row(what, seconds, "s", target=f"<= {LIMIT:g} s", met=seconds <= LIMIT, remark=remark))
    for name in ("aimclr", "cmd") if sizes.device == "cpu" else ():
        few = replace(SGD_PROBES[name], epochs=sizes.epochs)
        tasks = [
            lambda few=few: descend(rows, targets, sizes.classes, few, few.rates, 0),
            plain_descent(rows, targets, sizes.classes, few, sizes.epochs),
        ]
        times = paired(tasks, sizes.repeats)
        each = [statistics.median(own) * 1e3 / sizes.epochs for own in times]
        what = f"probe '{name}', an epoch"
        found.append(Row(what, each[0], "ms", "torch's layer, loss, optimiser, loader", each[1], ratio(*times)))
    return found


MEASURES = {"neighbours": neighbour_rows, "probes": probe_rows}


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    known = Sizes()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probes", description=(__doc__ or "").split("\n")[0])
    for name in ("clips", "queries", "dim", "classes", "repeats", "epochs"):
        parser.add_argument(f"--{name}", type=int, default=getattr(known, name))
    parser.add_argument("--device", default=known.device, help="cpu or cuda; of ours")
    parser.add_argument("--only", choices=list(MEASURES), help="one of the measures")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sizes = Sizes(given.clips, given.queries, given.dim, given.classes, given.repeats, given.epochs, given.device)
    rows = []
    for name, measure in MEASURES.items():
        if given.only in (None, name):
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            rows += measure(sizes)
    more = {"rounds": sizes.repeats, "epochs of the pairs": sizes.epochs, "device of ours": sizes.device}
    tell("probes", arguments, rows, more, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
