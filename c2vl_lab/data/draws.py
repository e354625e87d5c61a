"""Random numbers that belong to a clip: each depends on (seed, epoch, clip, call, place) alone.

A counter goes through a 64-bit mixing function (the finaliser of SplitMix64: Steele, Lea, Flood, OOPSLA 2014), so there
is no state to share: how clips are cut into batches, workers or devices changes nothing, and a batch can be made again.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

STEP = -7046029254386353131  # 2^64 / golden ratio, odd; the counter's stride
FIRST, SECOND = -4658895280553007687, -7723592293110705685  # the finaliser's factors
DIGITS = 2.0**-24  # as many as a float32 keeps


class Draws:
    """Random numbers of a batch's clips; every call draws new ones.

    Args:
        seed: the run's.
        epoch: from 1; a tensor where a compiled step must not depend on it.
        clips: (N,) integer numbers of the clips, on the device where the numbers are wanted.
        purpose: other numbers for the same clips, as "terms" has them beside the augmentation's.
    """

    def __init__(self, seed: int, epoch: int | Tensor, clips: Tensor, purpose: int = 0) -> None:
        self.clips = clips
        self.calls = 0
        start = _mixed(torch.as_tensor(epoch, device=clips.device) + mixed_seed(seed, purpose))
        self._key = _mixed(start + clips.long() * STEP)

    def uniform(self, count: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(N, count) float32, evenly in [low, high)."""
        return _top(self._bits(count)).mul_(DIGITS * (high - low)).add_(low)

    def normal(self, count: int) -> Tensor:
        """(N, count) float32 of mean 0 and standard deviation 1 (Box and Muller: two of each 64 bits)."""
        bits = self._bits((count + 1) // 2)
        length = _top(bits).add_(1).mul_(DIGITS).log_().mul_(-2).sqrt_()  # at most 5.8
        angle = bits.bitwise_right_shift_(8).bitwise_and_(0xFFFFFF).float().mul_(2 * math.pi * DIGITS)
        return torch.cat([length * angle.cos(), length * angle.sin()], dim=1)[:, :count]

    def _bits(self, count: int) -> Tensor:
        """(N, count) integers of 64 random bits."""
        self.calls += 1
        places = torch.arange(count, device=self.clips.device) + (self.calls << 40)
        return _mixed(self._key[:, None] + places * STEP)


def _top(bits: Tensor) -> Tensor:
    """The highest 24 bits as a float32."""
    return (bits >> 40).bitwise_and_(0xFFFFFF).float()


def _mixed(bits: Tensor) -> Tensor:
    """Every bit of the result depends on every bit given, which is overwritten; int64, whose overflow wraps."""
    bits.bitwise_xor_((bits >> 30).bitwise_and_(0x3FFFFFFFF)).mul_(FIRST)
    bits.bitwise_xor_((bits >> 27).bitwise_and_(0x1FFFFFFFFF)).mul_(SECOND)
    return bits.bitwise_xor_((bits >> 31).bitwise_and_(0x1FFFFFFFF))


def epoch_order(seed: int, epoch: int, count: int) -> Tensor:
    """(count,) the order of the clips in an epoch, made on the processor, so that every device has the same."""
    generator = torch.Generator().manual_seed(mixed_seed(seed, epoch))
    return torch.randperm(count, generator=generator)


def mixed_seed(*numbers: int) -> int:
    """One seed, 0 to 2^63 - 1, of several numbers; a neighbour of one of them gives quite another."""
    state = torch.zeros((), dtype=torch.int64)
    for number in numbers:
        state = _mixed(state * 3 + (torch.tensor(number) + 1) * STEP)
    return int(state) & 0x7FFFFFFFFFFFFFFF
