"""The gradient of a step, for one process or several, whole batches or pieces: the mathematics is the same.

The loss of a batch needs the features of all its clips, for each clip is the others' negative. On several processes
each makes those of its own clips, and all of them work out the whole loss (:mod:`c2vl_lab.dist`). A batch too large for
the memory passes in pieces, as GradCache does (Gao et al., arXiv 2101.06983): features without gradient, the loss and
its gradient on these features, then each piece once more with its features' gradient.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from c2vl_lab.data.draws import Draws, mixed_seed
from c2vl_lab.dist import gather, own_part, rank, world_size
from c2vl_lab.errors import ConfigError
from c2vl_lab.learners.base import LOOK, TERMS, Learner, Tensors
from c2vl_lab.training.settings import FitConfig
from c2vl_lab.training.statistics import RunningStatistics

STUDENT, MEMORY = 0, 1  # purposes of dropout
_NAMES = inspect.signature(DistributedDataParallel.__init__).parameters
_BUFFERS = "forward_sync_buffers" if "forward_sync_buffers" in _NAMES else "broadcast_buffers"  # before torch 2.13
NO_BUFFERS: dict[str, Any] = {_BUFFERS: False}


@dataclass(frozen=True)
class Moment:
    """When a step is.

    Attributes:
        epoch: from 1.
        index: of the step in its epoch.
        progress: 0 to 1, how much of training is done.
    """

    epoch: int
    index: int
    progress: float


def describe_step(config: FitConfig, clips: int) -> str:
    """The effective batch in a sentence: clips of a step, of a contrast, of a process and of a pass.

    Args:
        config: settings.
        clips: how many the training set has.
    """
    step = min(config.clips_per_step, clips)
    batch = step // min(config.accumulate, step)
    parts = [f"{config.accumulate} batches of {batch}, each with its own contrast"] if config.accumulate > 1 else []
    parts += [f"{batch / world_size():g} on each of {world_size()} processes"] if world_size() > 1 else []
    parts += [f"at most {config.micro_batch} through the encoder at once"] if config.micro_batch else []
    return f"effective batch: {step} clips a step" + (f" ({'; '.join(parts)})" if parts else "")


def largest_piece(config: FitConfig, clips: int, processes: int = 0) -> int:
    """The most clips that a process passes through the encoder at once.

    Args:
        config: settings.
        clips: how many the training set has.
        processes: that train together; 0: as many as there are.
    """
    step = min(config.clips_per_step, clips)
    batch, processes = math.ceil(step / min(config.accumulate, step)), processes or world_size()
    return math.ceil(math.ceil(batch / processes) / _pieces(config, batch, processes))


def other_norms(encoder: nn.Module, config: FitConfig, clips: int, before: int) -> str:
    """What a run that goes on in another number of processes should know, in a sentence; empty: nothing changes.

    Args:
        encoder: what is trained; some have no batch norm.
        config: settings.
        clips: how many the training set has.
        before: how many processes the run had up to here; 0: unknown.
    """
    normed = any(isinstance(module, _BatchNorm) for module in encoder.modules())
    if config.sync_norm or not before or not normed:
        return ""
    old, new = largest_piece(config, clips, before), largest_piece(config, clips)
    if old == new:
        return ""
    processes = "1 process" if before == 1 else f"{before} processes"
    return (
        f"this run was trained in {processes} and goes on in {world_size()}: without sync_norm its batch norms now go "
        f"by {new} clips at once and not by {old}, which is another formula from here on"
    )


def _pieces(config: FitConfig, count: int, processes: int) -> int:
    """Into how many pieces each process cuts its part of a batch of ``count``; all cut alike, for they meet."""
    largest = -(-count // processes)
    return -(-largest // config.micro_batch) if config.micro_batch else 1


class Step:
    """Works out a step's loss and leaves its gradient in the learner's parameters.

    Without ``sync_norm``, each piece of a batch and each process normalises by its own clips, which is another formula
    than that of the whole batch; all else is the same up to rounding. Dropout is equal in distribution only: its
    numbers belong to a piece of a batch, not to a clip.

    Args:
        learner: what is trained, on its device, with the weights to start from; process 0's are taken by all.
        config: settings.
        clips: how many the training set has.

    Raises:
        ConfigError: more processes than a batch has clips, or ``micro_batch=1`` with unequal parts.
    """

    def __init__(self, learner: Learner, config: FitConfig, clips: int) -> None:
        self.learner, self.config = learner, config
        self.differentiated: nn.Module = _Differentiated(learner)
        if world_size() > 1:
            step = min(config.clips_per_step, clips)
            smallest = step // config.accumulate
            if smallest < world_size():
                raise ConfigError(
                    f"A batch of {smallest} clips is too small for {world_size()} processes, each of which wants one "
                    "or more. Raise batch_size or take fewer devices."
                )
            uneven = any(len(batch) % world_size() for batch in self._batches(torch.arange(step)))
            if config.micro_batch == 1 and uneven:
                raise ConfigError(
                    f"micro_batch=1 wants batches that {world_size()} processes share evenly, for all pass as many "
                    f"pieces; found {step} clips a step, accumulate={config.accumulate}. Use micro_batch=2 or another "
                    "batch_size."
                )
            # running statistics are settled below, so that a resumed run goes on with those that all processes have
            self.differentiated = DistributedDataParallel(self.differentiated, **NO_BUFFERS)

    def own(self, rows: Tensor) -> Tensor:
        """Those of a step's ``rows`` (n,) whose clips this process looks at."""
        return torch.cat([batch[own_part(len(batch))] for batch in self._batches(rows)])

    def __call__(self, rows: Tensor, clips: Tensor, moment: Moment) -> Tensors:
        """Loss terms of the whole step, without gradient; the gradient is added to the parameters' ``.grad``.

        With ``accumulate`` the rows are so many batches, each with a contrast of its own, and terms and gradient are
        the mean over them.

        Args:
            rows: (n,) the step's rows in the training set, in every process the same.
            clips: (m, T, M, V, 3) the clips at :meth:`own` of them.
            moment: when the step is.
        """
        batches = self._batches(rows)
        self.learner.begin_step()
        means: Tensors = {}
        for number, batch in enumerate(batches):
            mine = batch[own_part(len(batch))]
            own, clips = clips[: len(mine)], clips[len(mine) :]
            terms = self._batch(batch, mine, own, moment, number, len(batches))
            for name, term in terms.items():
                means[name] = means.get(name, 0.0) + term.detach() / len(batches)
        return means

    def _batches(self, rows: Tensor) -> tuple[Tensor, ...]:
        return rows.tensor_split(min(self.config.accumulate, len(rows)))

    def _batch(self, rows: Tensor, mine: Tensor, clips: Tensor, moment: Moment, number: int, batches: int) -> Tensors:
        """Terms of batch ``number``, of which this process has ``mine``; its part of the gradient is added."""
        learner, seed = self.learner, self.config.seed
        # on a GPU filled there, not copied
        epoch = torch.full((), moment.epoch, device=rows.device) if rows.is_cuda else moment.epoch
        cuts = _pieces(self.config, len(rows), world_size())
        pieces = list(zip(mine.tensor_split(cuts), clips.tensor_split(cuts), strict=True))
        views = [learner.look(shown, Draws(seed, epoch, piece, LOOK)) for piece, shown in pieces]
        memories = []
        with torch.no_grad():
            for place, view in enumerate(views):
                self._seed(moment, number, place, MEMORY)
                memories.append(learner.remember(view, moment.progress))
        memory = self._gathered(_joined(memories), len(rows))

        def represent(place: int) -> Tensors:
            self._seed(moment, number, place, STUDENT)  # the same dropout each time
            return learner.represent(views[place])

        def contrast(features: Tensors) -> Tensors:
            draws = Draws(seed, epoch, rows, TERMS)
            return learner.terms(self._gathered(features, len(rows)), memory, rows, moment.progress, draws)

        settled = len(pieces) == 1 and (world_size() == 1 or self.config.sync_norm)
        statistics = None if settled else RunningStatistics(learner.encoder, self.config.sync_norm)
        final = number == batches - 1
        if len(pieces) == 1:
            with self._averaged(final):
                terms = self.differentiated(lambda: contrast(represent(0)))
                (_total(terms) / batches).backward()
            if statistics is not None:
                statistics.add_piece(1.0)
        else:
            assert statistics is not None
            terms = self._in_pieces(
                [len(piece) for piece, _ in pieces], represent, contrast, statistics, batches, final
            )
        if statistics is not None:
            statistics.settle(len(rows))
        return terms

    def _in_pieces(
        self,
        sizes: list[int],
        represent: Callable[[int], Tensors],
        contrast: Callable[[Tensors], Tensors],
        statistics: RunningStatistics,
        batches: int,
        final: bool,
    ) -> Tensors:
        """The same gradient from pieces, each of which passes twice."""
        places = range(len(sizes))
        with torch.no_grad():
            features = _joined([represent(place) for place in places])
        statistics.forget()  # this pass leaves no trace
        for tensor in features.values():
            tensor.requires_grad_()
        terms = contrast(features)
        loss = _total(terms) / batches
        found = torch.autograd.grad(loss, list(features.values()), retain_graph=True)
        gradients = {name: gradient.split(sizes) for name, gradient in zip(features, found, strict=True)}
        for place in places:
            last = place == places[-1]

            def part(place: int = place, last: bool = last) -> Tensor:
                own = _total({name: (h * gradients[name][place]).sum() for name, h in represent(place).items()})
                return own + loss if last else own  # the heads' gradient comes with the last piece

            with self._averaged(final and last):
                self.differentiated(part).backward()
            statistics.add_piece(sizes[place] / sum(sizes))
        return terms

    def _gathered(self, tensors: Tensors, count: int) -> Tensors:
        return {name: gather(tensor, count) for name, tensor in tensors.items()}

    def _averaged(self, now: bool) -> AbstractContextManager:
        """Whether gradients are averaged over the processes after this pass, or added to what comes later."""
        if now or not isinstance(self.differentiated, DistributedDataParallel):
            return nullcontext()
        return self.differentiated.no_sync()

    def _seed(self, moment: Moment, batch: int, place: int, purpose: int) -> None:
        """Set torch's generators, from which dropout draws."""
        part = ((rank() * self.config.accumulate + batch) * self.config.batch_size + place) * 2 + purpose
        torch.manual_seed(mixed_seed(self.config.seed, moment.epoch, moment.index) + part)


class _Differentiated(nn.Module):
    """What DistributedDataParallel wraps: it watches the learner's parameters, and is told what to run."""

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, part: Callable[[], Any]) -> Any:
        """Run a part of the step that a backward pass follows."""
        return part()


def _total(terms: Tensors) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def _joined(parts: list[Tensors]) -> Tensors:
    return parts[0] if len(parts) == 1 else {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
