"""What a run writes while it trains, and when: checkpoints, the log, the status; and how it finds its way back."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from c2vl_lab.data.disk import write_remedy
from c2vl_lab.dist import rank, world_size
from c2vl_lab.errors import C2VLError, ConfigError, DataError, StorageError
from c2vl_lab.learners.base import Learner
from c2vl_lab.logs import METRICS, STATUS, STOP, MetricLog, write_status
from c2vl_lab.training.card import check_card
from c2vl_lab.training.checkpoints import FILE, read_card, read_checkpoint, restore, save_checkpoint
from c2vl_lab.training.guard import FILE as NAN_FILE
from c2vl_lab.training.settings import FitConfig
from c2vl_lab.training.states import save_state
from c2vl_lab.training.stopping import StoppedError

EVERY = 1.0  # seconds between two looks for it, and between two writings of the status


@dataclass
class Place:
    """How far a run is; saved with every checkpoint.

    Attributes:
        epoch: finished epochs.
        step: batches of the next epoch that are done.
        sums: the log's values, added up over these batches.
        seconds: wall time that these batches took.
        skipped: how many of these batches were skipped for a NaN.
        in_a_row: batches skipped just before this place, those of earlier epochs counted.
    """

    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    skipped: int = 0
    in_a_row: int = 0

    @classmethod
    def of(cls, card: dict[str, Any], path: Path) -> Place:
        """The place that a checkpoint's card tells.

        Raises:
            DataError: the card lacks one, or it is no place.
        """
        found = {f.name: card.get(f.name) for f in fields(cls)}
        for name, value in found.items():
            if name == "sums":
                good = isinstance(value, dict) and all(isinstance(v, (int, float)) for v in value.values())
            else:
                good = isinstance(value, (int, float) if name == "seconds" else int) and value >= 0
            if not good:
                raise DataError(f"{path}: its card says {name} = {value!r}. Move it away and train again.")
        return cls(**found)  # type: ignore[arg-type]  # each was checked above


def _means(place: Place) -> dict[str, float]:
    """The log's values of a place, each the mean over the batches that were not skipped."""
    return {name: value / max(1, place.step - place.skipped) for name, value in place.sums.items()}


def make_folder(path: Path) -> None:
    """Make a run's folder where it is not there.

    Raises:
        StorageError: it cannot be made, as where a file has its name.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = write_remedy(error.errno, "run folder (run_dir)")
        raise StorageError(f"The folder {path} cannot be made ({error.strerror or error}). {remedy}.") from error


class RunFolder:
    """The folder of one run in training.

    Args:
        path: the folder.
        config: settings.
        card: what the checkpoints say of their making.
        learner, optimizer: what they hold.
        clips: how many the training set has.
    """

    def __init__(
        self,
        path: Path,
        config: FitConfig,
        card: dict[str, Any],
        learner: Learner,
        optimizer: torch.optim.Optimizer,
        clips: int,
    ) -> None:
        self.path, self.config, self.card = path, config, card
        self.learner, self.optimizer = learner, optimizer
        # a short batch would meet fewer negatives; other clips are left out next time
        self.batches, self.clips = max(1, clips // config.clips_per_step), min(config.clips_per_step, clips)
        self.processes = 0  # that the checkpoint was trained by; 0: there is none, or it does not say
        self._log: MetricLog | None = None
        self._place: Place | None = None
        self._batch_seconds = 0.0  # of the latest epoch that says
        self._means: dict[str, float] = {}  # of the latest whole epoch
        self._saved = time.monotonic()
        self._looked = -EVERY
        self._told = -EVERY

    def resume(self) -> Place:
        """Restore the run's checkpoint if there is one; returns how far it was.

        Raises:
            ConfigError: the checkpoint is of other settings or other data.
            DataError: it is damaged or foreign.
        """
        if not (self.path / FILE).exists():
            return Place()
        tensors, found = read_checkpoint(self.path)
        done = found.get("epoch") == self.config.epochs  # and nothing is computed any more, in whatever precision
        check_card(self.path, found, {**self.card, "precision": found.get("precision")} if done else self.card)
        place = Place.of(found, self.path / FILE)
        restore(tensors, self.learner, self.optimizer)
        processes = found.get("processes")
        self.processes = processes if isinstance(processes, int) else 0
        return place

    @contextmanager
    def training(self, place: Place) -> Iterator[None]:
        """The time in which the run trains: its log is open, and its status tells how it ends."""
        if rank() > 0:  # one process writes for all
            yield
            return
        with self._alone():
            with self._writing(self.path / METRICS):
                self._clean()
                self._log = MetricLog(self.path, keep_epochs=place.epoch)
            self._tell("running", place, force=True)
            end, error = "failed", ""
            try:
                yield
                end = "done"
            except (StoppedError, KeyboardInterrupt) as reason:
                end, error = "stopped", str(reason) or "Interrupted. The same call goes on from the last checkpoint."
                raise
            except BaseException as reason:
                error = str(reason) if isinstance(reason, C2VLError) else f"{type(reason).__name__}: {reason}"
                raise
            finally:
                self._tell(end, self._place or place, force=True, error=error)
                with contextlib.suppress(OSError) if error else self._writing(self.path / "tensorboard"):
                    self._log.close()

    def after_batch(self, place: Place, sums: Callable[[], dict[str, float]]) -> None:
        """Called with each batch: tell how far it is, and write a checkpoint when it is time.

        Args:
            place: how far the run is, but for its sums.
            sums: reads these, for which a GPU makes us wait.
        """
        if rank() > 0:
            return
        self._place = place
        late = place.step < self.batches and self._late()
        if late or time.monotonic() - self._told >= EVERY:
            place.sums = sums()
        if place.step:
            self._batch_seconds = place.seconds / place.step
        if late:
            self.save(place)
        self._tell("running", place)

    def after_epoch(self, place: Place, row: dict[str, Any]) -> None:
        """Called with each finished epoch: write its row, and a checkpoint when it is time."""
        if rank() > 0:
            return
        if self._place is not None:  # the epoch's own, whose sums are whole by now
            self._means = _means(self._place)
        self._place = place
        assert self._log is not None, "only while training"
        if self.config.keep_every and (place.epoch % self.config.keep_every == 0 or place.epoch == self.config.epochs):
            with self._writing(self.path):
                save_state(self.path, self.learner, place.epoch, self.card)
        with self._writing(self._log.path):
            self._log.write(row)
        if place.epoch % self.config.checkpoint_every == 0 or place.epoch == self.config.epochs or self._late():
            self.save(place)
        self._tell("running", place)

    def save(self, place: Place) -> None:
        """Write a checkpoint.

        Raises:
            StorageError: it cannot be written; the sentence says which one is kept.
        """
        if rank() > 0:
            return
        card = {**self.card, **asdict(place), "processes": world_size()}
        with self._writing(self.path / FILE):
            save_checkpoint(self.path, self.learner, self.optimizer, card)
        self._saved = time.monotonic()

    def _late(self) -> bool:
        """Whether the last checkpoint was long ago."""
        return time.monotonic() - self._saved >= 60 * self.config.checkpoint_minutes

    def stop_wanted(self) -> bool:
        """Whether there is a file STOP in the folder; looked for once a second."""
        if time.monotonic() - self._looked < EVERY:
            return False
        self._looked = time.monotonic()
        return (self.path / STOP).exists()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep a second process from training in the same folder; the system lifts the lock when this one ends."""
        with self._writing(self.path / FILE):
            lock = open(self.path / ".training.lock", "w")  # noqa: SIM115 - closed below
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(
                    f"Another process trains in {self.path} (its {STATUS} says which). Wait for it, ask it to stop by "
                    f"a file named {STOP} in that folder, or use another run folder (run_dir)."
                ) from None
            except OSError:  # a file system without locks
                pass
            yield

    def _clean(self) -> None:
        """Remove what asked the run before to stop, and the halves of files that a kill left."""
        (self.path / STOP).unlink(missing_ok=True)
        stem = FILE.removesuffix(".safetensors")
        for pattern in (
            f".{FILE}.*",
            f".{stem}.json.*",
            f".{METRICS}.*",
            f".{NAN_FILE}.*",
            f".{STATUS}.*",
            ".tmp??????",
        ):
            for left in self.path.glob(pattern):
                left.unlink(missing_ok=True)

    def _tell(self, state: str, place: Place, force: bool = False, error: str = "") -> None:
        """Write the status, once a second; a disk that has no room for it ends nothing."""
        now = time.monotonic()
        if not force and now - self._told < EVERY:
            return
        self._told = now
        done = place.epoch * self.batches + place.step
        left = self.config.epochs * self.batches - done
        rate = self.clips / self._batch_seconds if self._batch_seconds else None
        with contextlib.suppress(OSError):
            write_status(
                self.path,
                state,
                epoch=place.epoch,
                epochs=self.config.epochs,
                step=place.step,
                batches=self.batches,
                clips_per_second=rate,
                seconds_left=left * self._batch_seconds if rate else None,
                terms=_means(place) if place.step else self._means,
                error=error,
            )

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        """Turn what the system says against writing into a sentence with a remedy, and with what is kept.

        Raises:
            StorageError: instead of an ``OSError``.
        """
        try:
            yield
        except OSError as error:
            remedy = write_remedy(error.errno, "run folder (run_dir)")
            raise StorageError(
                f"{path} cannot be written ({error.strerror or error}). {remedy}; {self._kept()}"
            ) from error

    def _kept(self) -> str:
        """Which checkpoint there is, for the end of a sentence."""
        try:
            card = read_card(self.path)
        except C2VLError:
            return "there is no checkpoint yet, the same command begins anew."
        step = f", batch {card['step']} of epoch {card['epoch'] + 1}" if card.get("step") else ""
        return (
            f"the last good checkpoint is kept (epoch {card.get('epoch')}{step}), the same command goes on from there."
        )
