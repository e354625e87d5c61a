"""``c2vl ask``: ask a model about every clip of a data set, go on where it stopped, and say what is missing."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from c2vl_lab.errors import ConfigError

if TYPE_CHECKING:
    from c2vl_lab.prompts.asking.runner import Outcome

SHOWN = 10  # missing sentences on the screen; the file has all


def add_ask(parser: argparse.ArgumentParser) -> None:
    """The options of ``c2vl ask``."""
    parser.add_argument("dataset", help="a data set as in `c2vl data`, or a store folder")
    parser.add_argument(
        "--backend",
        required=True,
        metavar="WHO",
        help="server:http://HOST:PORT/v1 (vLLM, SGLang, llama.cpp, Ollama), transformers:MODEL-OR-FOLDER, "
        "coca:MODEL:TAG-OR-CHECKPOINT, kinematic, or replay:FILE",
    )
    parser.add_argument("--model", default="", help="the server's name of the model; not needed where it has one")
    parser.add_argument("--revision", default="", help="version of the model, kept with every answer")
    parser.add_argument(
        "--question", default="three-part", metavar="NAME", help="paper, three-part, body-parts; or a .yml or .txt file"
    )
    parser.add_argument(
        "--pictures",
        default="rendered",
        metavar="KIND",
        help="rendered (the default), depth, folder:PATH or video:PATH",
    )
    parser.add_argument("--style", default="crop+overlay", help="of video: crop+overlay, crop, overlay or full")
    parser.add_argument("--count", type=_some, default=0, metavar="K", help="pictures a clip; default 16")
    parser.add_argument("--shard", default="1/1", metavar="i/n", help="one of n parts, for several machines at once")
    parser.add_argument("--limit", type=_some, default=0, metavar="N", help="the first N clips only, for trying out")
    parser.add_argument("--attempts", type=_some, default=4, metavar="N", help="how often a bad answer is asked for")
    parser.add_argument("--at-once", type=_some, default=0, metavar="N", help="requests in flight, or in a batch")
    parser.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS", help="of a server, for one answer")
    parser.add_argument("--max-tokens", type=int, default=128, metavar="N", help="longest answer")
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0: the likeliest words")
    parser.add_argument("--seed", type=int, default=0, help="of sampled answers")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--answers", default="", metavar="DIR", help="default: work/answers/<data set>")
    parser.add_argument("--export", default="", metavar="FILE", help="write {clip: [sentence, ...]} when complete")
    parser.add_argument("--data", default="", metavar="DIR", help="folder of the published files")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="settings", help="the reader's: cut=start:end"
    )
    parser.add_argument("--work", default="work", metavar="DIR", help="stores and answers are kept here")


def ask_dataset(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Run ``c2vl ask``: 0 when every sentence is there, 1 when some are missing."""
    from c2vl_lab.config import from_text
    from c2vl_lab.data.datasets import open_dataset, options_of
    from c2vl_lab.prompts.asking.answers import AnswerStore
    from c2vl_lab.prompts.asking.opening import open_backend
    from c2vl_lab.prompts.asking.protocol import Sampling
    from c2vl_lab.prompts.asking.runner import ask
    from c2vl_lab.prompts.asking.templates import load_question
    from c2vl_lab.prompts.pictures import open_pictures
    from c2vl_lab.prompts.video import VideoPictures

    shard, question = _shard(options.shard), load_question(options.question)
    sampling = Sampling(options.max_tokens, options.temperature, options.seed)
    settings = from_text(options_of(options.dataset), options.settings, where="--set") if options.settings else {}
    store = open_dataset(options.dataset, options.data, options.work, say, **settings)
    backend = open_backend(
        options.backend,
        store,
        sampling,
        options.model,
        options.revision,
        options.at_once,
        options.timeout,
        options.device,
    )
    source = open_pictures(options.pictures, store, options.data, options.style) if backend.looks else None
    answers = AnswerStore(options.answers or Path(options.work) / "answers" / store.dataset)
    names = store.names[: options.limit or None]
    count = options.count or backend.sentences or 16
    outcome = ask(store, source, question, backend, answers, count, shard, options.attempts, names, progress=say)
    _tell(outcome, answers.folder, shard, say)
    for sentence in source.remarks() if isinstance(source, VideoPictures) else ():
        say(f"  {sentence}")
    if options.export:
        lacking = answers.missing(outcome.series, names)  # of all shards: the file of one would pass for complete
        if not lacking:
            say(f"Written: {options.export}, {answers.export_prompts(options.export, outcome.series, names):,} clips")
        elif outcome.complete:
            say(f"Not written: {options.export}. Other shards lack {len(lacking):,} sentences; export after them.")
        else:
            say(f"Not written: {options.export}. Sentences are missing.")
    return 0 if outcome.complete else 1


def _tell(outcome: Outcome, folder: Path, shard: tuple[int, int], say: Callable[[str], None]) -> None:
    """How it ended; the whole list of what is missing goes to a file, which is removed once nothing is."""
    from c2vl_lab.artifacts import write_json

    say(f"{outcome.series.describe()}")
    say(
        f"  {outcome.asked:,} answers in {outcome.seconds:.1f} s, of which {outcome.rejected:,} were no good; "
        f"{outcome.reused:,} taken over from equal requests"
    )
    place = folder / outcome.series.folder
    path = place / ("missing.json" if shard == (1, 1) else f"missing-{shard[0]}-of-{shard[1]}.json")
    if outcome.complete:
        path.unlink(missing_ok=True)
        say(f"  all {outcome.wanted:,} sentences are there: {place}")
        say(f"  captions of the notebooks and suites: answers:{folder}#{outcome.series.id}")
        return
    write_json(path, [{"clip": clip, "place": at, "reason": reason} for clip, at, reason in outcome.missing])
    say(f"  {len(outcome.missing):,} of {outcome.wanted:,} sentences are missing; the list: {path}")
    for clip, at, reason in outcome.missing[:SHOWN]:
        say(f"    {clip}, sentence {at + 1}: {reason}")
    if len(outcome.missing) > SHOWN:
        say(f"    ... and {len(outcome.missing) - SHOWN:,} more")


def _some(text: str) -> int:
    """A whole number of at least 1: 0 would mean the default, which nobody expects who writes it."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"wanted 1 or more, found '{text}'")
    return int(text)


def _shard(text: str) -> tuple[int, int]:
    """(i, n) of ``i/n``."""
    number, slash, of = text.partition("/")
    if not slash or not number.isdecimal() or not of.isdecimal():
        raise ConfigError(f"--shard wants i/n, for example 2/8, found '{text}'.")
    return int(number), int(of)
