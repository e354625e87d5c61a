"""What a training step of ST-GCN costs at least, from shapes alone: multiplications, and bytes moved.

Per clip, two parts: the trained encoder (a forward pass, and a backward pass that costs two) and the averaged one (a
forward pass). Views, heads, contrast, average and optimiser are left out: together they are under a hundredth of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from c2vl_lab.models.stgcn import STRIDES

PASSES = 4  # in forward passes: 1 and 2 of the trained encoder, 1 of the averaged one
FLOP_RATE, BYTE_RATE = 790e12, 4.3e12  # of an H200: bfloat16 with dense matrices, and its memory, as sustained
DEVICE = "H200"


@dataclass(frozen=True)
class Cost:
    """Of one clip in one forward pass of the encoder.

    Attributes:
        flops: two for a multiplication and its addition.
        elements: numbers read and written where everything elementwise is joined to the product before or after it.
    """

    flops: float
    elements: float


def encoder_cost(width: int, frames: int, joints: int = 25, bodies: int = 2, dim: int = 256, parts: int = 3) -> Cost:
    """A forward pass of the wide form.

    A block is three passes over memory: the graph convolution reads its input and writes C' channels; the temporal one
    reads these (normalised on the way) and writes its frames; the end reads them and the residual and writes the sum.

    Args:
        width: channels of the first block.
        frames: T of the input.
        joints, bodies: V and M.
        dim: channels of the last block.
        parts: partitions of the graph.
    """
    outputs = [width] * 4 + [2 * width] * 3 + [4 * width] * 2 + [dim]
    multiplications = elements = 0
    inputs, long = 3, frames
    for index, (channels, stride) in enumerate(zip(outputs, STRIDES, strict=True)):
        short = (long - 1) // stride + 1
        multiplications += long * joints * inputs * parts * (joints + channels)  # neighbours added up, then mixed
        multiplications += short * joints * channels * channels * 9
        residual = index > 0
        if residual and (inputs != channels or stride > 1):
            multiplications += short * joints * inputs * channels
        given, mixed, made = long * joints * inputs, long * joints * channels, short * joints * channels
        elements += (given + mixed) + (mixed + made) + (made + given * residual + made)
        inputs, long = channels, short
    return Cost(2.0 * multiplications * bodies, float(elements * bodies))


def flop_bound(width: int, frames: int, passes: int = PASSES) -> float:
    """Clips a second at most, by multiplications in bfloat16 on an H200."""
    return FLOP_RATE / (passes * encoder_cost(width, frames).flops)


def byte_bound(width: int, frames: int, passes: int = PASSES) -> float:
    """Clips a second at most, by memory traffic in bfloat16 on an H200."""
    return BYTE_RATE / (passes * encoder_cost(width, frames).elements * 2)
