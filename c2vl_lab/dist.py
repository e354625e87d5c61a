"""Several processes that train together. In a single process every function is the plain thing, so nothing asks twice.

Each process sees its part of a batch and, through :func:`gather`, what the others made of theirs. The gradient goes
back through it: with the same loss L in all W processes, a process gets W times its own part of L's gradient, and the
average over the processes, which DistributedDataParallel takes, is L's gradient.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed
from torch import Tensor
from torch.nn.functional import pad

from c2vl_lab.errors import ConfigError

PATIENCE = timedelta(minutes=30)  # for the slowest of the processes, before the others give up


def world_size() -> int:
    """How many processes train together."""
    return torch.distributed.get_world_size() if _joined() else 1


def rank() -> int:
    """This process's number, from 0; only number 0 writes files and speaks."""
    return torch.distributed.get_rank() if _joined() else 0


def own_part(count: int) -> slice:
    """Which of a batch's ``count`` clips are this process's; parts differ by one clip at most."""
    return slice(rank() * count // world_size(), (rank() + 1) * count // world_size())


def gather(own: Tensor, count: int) -> Tensor:
    """(n, ...) of each process, n as :func:`own_part` says -> (count, ...) in all of them, with gradient."""
    if world_size() == 1:
        return own
    part = own_part(count)
    around = [0, 0] * (own.ndim - 1) + [part.start, count - part.stop]
    return add_up(pad(own, around))  # a sum with zeros, so that parts need not be of one length


def add_up(own: Tensor) -> Tensor:
    """The sum of all processes' tensors, in all of them, with gradient; of one process: the tensor itself."""
    return own if world_size() == 1 else _Sum.apply(own)


def anywhere(flag: bool) -> bool:
    """Whether ``flag`` is set in any of the processes; all of them get the same answer.

    The flag lies on the processor, whose messages do not make a GPU wait.
    """
    if world_size() == 1:
        return flag
    flags = torch.tensor(int(flag))
    torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
    return bool(flags)


def meet() -> None:
    """Wait until all processes are here."""
    anywhere(False)


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Take part in what torchrun started, for a block; without torchrun, just the block.

    Args:
        device: "cpu" (gloo), or "cuda" (nccl), which means this process's own GPU from then on.

    Raises:
        ConfigError: one GPU by its number, for several processes.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield
        return
    if device == "cpu":
        torch.distributed.init_process_group("gloo", timeout=PATIENCE)
    else:
        processes = int(os.environ["WORLD_SIZE"])
        if ":" in device and processes > 1:
            raise ConfigError(
                f"device '{device}' is one GPU, and torchrun started {processes} processes, which take one each; "
                "wanted 'auto', 'cuda' or 'cpu'."
            )
        torch.cuda.set_device(device if ":" in device else int(os.environ["LOCAL_RANK"]))
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl", timeout=PATIENCE)
    yield
    gc.collect()  # what still holds the group would end it, and its threads, while the interpreter is taken down
    # not after an error: the others may wait for this process, and its end is what tells them
    torch.distributed.destroy_process_group()


def _joined() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


class _Sum(torch.autograd.Function):
    """An all-reduce. Each process's input is part of every process's output, so gradients are added up the same way."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total
