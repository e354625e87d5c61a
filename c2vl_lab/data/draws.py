"""Random numbers that belong to a clip: each depends on (seed, epoch, clip, call, place) alone.

A counter goes through a 64-bit mixing function (the finaliser of SplitMix64: Steele, Lea, Flood, OOPSLA 2014), so there
is no state to share: how clips are cut into batches, workers or devices changes nothing, and a batch can be made again.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

STEP = -7046029254386353131  # 2^64 / golden ratio, odd; the counter's stride
FIRST, SECOND = -4658895280553007687, -7723592293110705685  # the finaliser's factors
WORD = (1 << 64) - 1
DIGITS = 2.0**-24  # as many as a float32 keeps


class Draws:
    """Random numbers of a batch's clips; every call draws new ones.

    Args:
        seed: the run's.
        epoch: from 1; kept as a tensor, so that a compiled step does not depend on it.
        clips: (N,) integer numbers of the clips, on the device where the numbers are wanted.
        purpose: other numbers for the same clips, as "terms" has them beside the augmentation's.
    """

    def __init__(self, seed: int, epoch: int | Tensor, clips: Tensor, purpose: int = 0) -> None:
        self.seed, self.clips, self.purpose = seed, clips, purpose
        if not isinstance(epoch, Tensor):  # filled where it is wanted: a copy there would make the processor wait
            epoch = torch.full((), epoch, dtype=torch.int64, device=clips.device)
        self.epoch = epoch
        self.calls = 0
        self._key: Tensor | None = None  # made when it is first wanted, inside a compiled step where there is one

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
        if self._key is None:
            start = _mixed(self.epoch + mixed_seed(self.seed, self.purpose))
            self._key = _mixed(start + self.clips.long() * STEP)
        # the mask changes nothing; without it torch's compiler takes the rest for an index, whose numbers may not wrap
        places = (torch.arange(count, device=self.clips.device) & 0xFFFFFFFF) + (self.calls << 40)
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


def balanced_order(seed: int, epoch: int, sets: Tensor, batch: int) -> Tensor:
    """(N,) the order of an epoch in which every set has the same share of each batch, whatever its size.

    The sets take turns. A large one shows a part of its clips, another part in another epoch; a small one begins again,
    in another order, once all of its clips were shown (in one epoch a clip's augmentation is the same each time). A
    clip stands in a batch once, or it would be a negative of itself, unless its set has fewer clips than its share.

    Args:
        seed: the run's.
        epoch: from 1.
        sets: (N,) which set each clip is of, on the processor.
        batch: clips of a contrast.
    """
    clips = [(sets == number).nonzero()[:, 0] for number in sets.unique()]
    turns, share = -(-len(sets) // len(clips)), -(-batch // len(clips))
    columns = []
    for number, own in enumerate(clips):
        rounds = range(-(-turns // len(own)))
        orders = [own[epoch_order(mixed_seed(seed, number, again), epoch, len(own))] for again in rounds]
        for before, order in itertools.pairwise(orders):
            _keep_apart(before, order, min(share, len(own)))
        columns.append(torch.cat(orders)[:turns])
    return torch.stack(columns, dim=1).flatten()[: len(sets)]


def _keep_apart(before: Tensor, order: Tensor, window: int) -> None:
    """Move clips of ``order`` so that with ``before`` none stands twice in ``window`` places, at most as many as clips.

    At place q, window - 1 - q clips are too near, and no fewer than window - q are left: there is always one to take.
    """
    rest, last = order.tolist(), before[len(before) - window + 1 :].tolist()
    for place in range(window - 1):
        near = set(last[place:])
        rest.insert(place, rest.pop(next(i for i in range(place, len(rest)) if rest[i] not in near)))
    order.copy_(torch.tensor(rest))


def mixed_seed(*numbers: int) -> int:
    """One seed, 0 to 2^63 - 1, of several numbers; a neighbour of one of them gives quite another."""
    state = 0
    for number in numbers:
        state = (state * 3 + (number + 1) * STEP) & WORD
        state = (state ^ (state >> 30)) * FIRST & WORD
        state = (state ^ (state >> 27)) * SECOND & WORD
        state ^= state >> 31
    return state & (WORD >> 1)
