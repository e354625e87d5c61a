"""Share of a teacher's bare forward pass that feature extraction reaches: ``python -m benchmarks.teachers``.

Bare: the same batches, tokenised or decoded and prepared beforehand, through the model on the same device and threads.
Ours: from files or joints and plain sentences to features on the disk. In alternating rounds, by the wall clock on a
GPU; on a processor by CPU time, since there decoding and the model share the cores and a busy machine would blur the
figure; ``--clock wall`` is for an idle one, with all its cores. Nothing is asserted. The target is 90 % of the bare
speed, decoding included.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import Row, tell
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.prompts.kinematic import caption_store
from c2vl_lab.prompts.pictures import open_pictures
from c2vl_lab.teachers import load_teacher
from c2vl_lab.teachers.batches import forward_pass
from c2vl_lab.teachers.features import image_features, text_features
from c2vl_lab.teachers.protocol import PictureSource
from c2vl_lab.training.settings import pick_device

TARGET = 0.9


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    Attributes:
        teacher, device: as in a run's settings.
        sources: kinds of pictures; "folder" alone means JPEG files that are made for it.
        dataset, data_dir, work: where clips come from, and the folder of everything made.
        clips, each: clips, and pictures a clip.
        sentences: how many different ones.
        repeats: rounds.
        clock: "wall" or "cpu"; "auto" is wall time on a GPU, CPU time on a processor.
        allow_random: random weights; only the tests may.
    """

    teacher: str = "offline"
    device: str = "auto"
    sources: tuple[str, ...] = ("folder", "rendered")
    dataset: str = "generated"
    data_dir: str = ""
    work: Path = Path("work/benchmark")
    clips: int = 40
    each: int = 8
    sentences: int = 2000
    repeats: int = 3
    clock: str = "auto"
    allow_random: bool = False


def measure(sizes: Sizes) -> list[Row]:
    """One row for sentences, one for each kind of pictures."""
    sizes.work.mkdir(parents=True, exist_ok=True)
    teacher = load_teacher(sizes.teacher, pick_device(sizes.device), sizes.allow_random)
    store = open_dataset(sizes.dataset, sizes.data_dir, sizes.work)
    rows = [_sentences(teacher, store, sizes)]
    for kind in sizes.sources:
        given = f"folder:{jpeg_folder(store, sizes)}" if kind == "folder" else kind
        rows.append(_pictures(teacher, open_pictures(given, store, sizes.data_dir), store, sizes))
    return rows


def _sentences(teacher: Any, store: SkeletonStore, sizes: Sizes) -> Row:
    """Captions of the clips, numbered so that enough of them differ."""
    captions = sorted({text for texts in caption_store(store).values() for text in texts})
    texts = [f"{captions[i % len(captions)]} {i // len(captions)}" for i in range(sizes.sentences)]
    texts.sort(key=lambda text: (len(text), text))  # as the extraction does, so that both need little padding
    passes = bare_texts(teacher, texts)

    def ours(folder: str) -> None:
        text_features([[text] for text in texts], teacher, folder)

    return _row(f"sentences, {teacher.name}", len(texts), ours, passes, sizes)


def _pictures(teacher: Any, source: PictureSource, store: SkeletonStore, sizes: Sizes) -> Row:
    """Pictures of the first clips that have some."""
    have = source.names()
    names = [name for name in store.names if name in have][: sizes.clips]
    images = [image for name in sorted(names) for image in source.pictures(name, sizes.each)]
    size = teacher.batch_images
    ready = [
        teacher.join_images([teacher.prepare_image(image) for image in images[start : start + size]])
        for start in range(0, len(images), size)
    ]

    def bare() -> None:
        for batch in ready:
            teacher.encode_joined(batch)

    def ours(folder: str) -> None:
        image_features(source, names, sizes.each, teacher, folder)

    shape = "x".join(str(side) for side in images[0].shape[:2])
    row = _row(f"pictures, {source.kind}, {teacher.name}", len(images), ours, bare, sizes)
    decoding = _decoding(source, names, teacher, sizes.each)
    remark = f"{len(images)} of {shape}; {row.remark}; decoding and preparing alone: {decoding:.1f} ms a picture"
    return replace(row, remark=remark)


def bare_texts(teacher: Any, texts: list[str]) -> Callable[[], None]:
    """Forward passes over sentences that are tokenised already, in the teacher's own batches."""
    batches = [texts[start : start + teacher.batch_texts] for start in range(0, len(texts), teacher.batch_texts)]
    if hasattr(teacher, "tokenize_texts"):
        ready = [teacher.tokenize_texts(batch) for batch in batches]

        def run() -> None:
            for tokens in ready:
                teacher.encode_tokens(tokens)

    else:
        teacher.encode_texts(texts[:1])  # loads the model
        model = teacher._text
        ready = [model.preprocess(batch) for batch in batches]

        def run() -> None:
            for tokens in ready:
                with forward_pass(teacher.device):
                    on_device = {n: v.to(teacher.device) if hasattr(v, "to") else v for n, v in tokens.items()}
                    model(on_device)["sentence_embedding"].float().cpu().numpy()

    return run


def _row(what: str, count: int, ours: Callable[[str], None], bare: Callable[[], None], sizes: Sizes) -> Row:
    """Median over alternating rounds, each of ours with an empty cache."""
    wall = sizes.clock == "wall" or (sizes.clock == "auto" and pick_device(sizes.device).startswith("cuda"))
    clock = time.perf_counter if wall else time.process_time
    bare()
    mine, theirs = [], []
    for _ in range(sizes.repeats):
        theirs.append(_seconds(bare, clock))
        with tempfile.TemporaryDirectory() as folder:
            mine.append(_seconds(lambda: ours(folder), clock))
    shares = [b / a for a, b in zip(mine, theirs, strict=True)]
    speeds = [count / statistics.median(times) for times in (mine, theirs)]
    remark = f"{speeds[0]:.1f} a second, bare {speeds[1]:.1f}; {100 * min(shares):.0f} to {100 * max(shares):.0f} %"
    share = statistics.median(shares)
    return Row(
        what, 100 * share, "% of bare", target=f">= {TARGET:.0%}", met=share >= TARGET,
        remark=f"{remark} over {sizes.repeats} rounds ({'wall' if wall else 'CPU'} time)",
    )  # fmt: skip


def _seconds(task: Callable[[], None], clock: Callable[[], float]) -> float:
    start = clock()
    task()
    return clock() - start


def _decoding(source: PictureSource, names: list[str], teacher: Any, each: int) -> float:
    """Milliseconds a picture, one thread."""
    some = names[:8]
    start = time.perf_counter()
    for name in some:
        for image in source.pictures(name, each):
            teacher.prepare_image(image)
    return (time.perf_counter() - start) / (len(some) * each) * 1e3


def jpeg_folder(store: SkeletonStore, sizes: Sizes) -> Path:
    """JPEG files of 256 x 256 with some texture, made once."""
    from PIL import Image

    folder = sizes.work / f"jpeg-{store.fingerprint}-{sizes.clips}-{sizes.each}"
    rng = np.random.default_rng(0)
    for name in store.names[: sizes.clips]:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for place in range(sizes.each):
            path = folder / name / f"{place:03d}.jpg"
            if not path.exists():
                coarse = rng.integers(0, 255, (32, 32, 3), np.uint8)
                Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC).save(path, quality=90)
    return folder


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    known = Sizes()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teachers", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--teacher", default=known.teacher, help="as in a run's settings")
    parser.add_argument("--device", default=known.device)
    parser.add_argument("--pictures", default=",".join(known.sources), help="folder, rendered, depth, video:PATH, ...")
    parser.add_argument("--set", dest="dataset", default=known.dataset, help="data set or store folder")
    parser.add_argument("--data", default=known.data_dir, help="folder of the published files")
    parser.add_argument("--clips", type=int, default=known.clips)
    parser.add_argument("--each", type=int, default=known.each, help="pictures a clip")
    parser.add_argument("--sentences", type=int, default=known.sentences)
    parser.add_argument("--repeats", type=int, default=known.repeats, help="rounds")
    parser.add_argument("--clock", choices=("auto", "wall", "cpu"), default=known.clock)
    parser.add_argument("--work", type=Path, default=known.work)
    parser.add_argument("--json", type=Path, help="write the rows there too")
    given = parser.parse_args(arguments)
    sizes = Sizes(
        given.teacher, given.device, tuple(kind for kind in given.pictures.split(",") if kind), given.dataset,
        given.data, given.work, given.clips, given.each, given.sentences, given.repeats, given.clock,
    )  # fmt: skip
    rows = measure(sizes)
    tell("teachers", arguments, rows, {"rounds": sizes.repeats}, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
