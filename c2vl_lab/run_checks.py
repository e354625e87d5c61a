"""What is refused before a run opens its data or trains for hours."""

from __future__ import annotations

from c2vl_lab.data.protocols import Split
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import DataError
from c2vl_lab.prompts.asking.opening import ANSWERS, open_answers
from c2vl_lab.prompts.kinematic import SENTENCES
from c2vl_lab.prompts.store import at_places, load_prompts
from c2vl_lab.run_config import RunConfig


def check_captions(config: RunConfig) -> None:
    """Refuse captions that are not there, and places that they do not have, before anything is opened or trained.

    Raises:
        C2VLError: what is missing, and where.
    """
    if not config.uses_concepts or "language" not in config.modality_names:
        return
    if config.captions.startswith(ANSWERS):
        count = open_answers(config.captions)[1].count
    elif config.captions == "kinematic":
        count = SENTENCES
    else:
        count = len(next(iter(load_prompts(config.captions).values())))
    at_places([[""] * count], config.sentences, f"captions={config.captions}")


def check_classes(store: SkeletonStore, split: Split) -> None:
    """Refuse a split from which nothing can be told apart, before anything is trained.

    Raises:
        DataError: one class alone.
    """
    known = sorted({store.classes[label] for label in store.labels[split.train]})
    if len(known) < 2:
        raise DataError(
            f"{store.dataset}, {split.protocol}: wanted at least two classes in the training part, found {known[0]} "
            f"alone ({split.rule}). Take another protocol, or more recordings."
        )
