"""Compiled parts of a step on a GPU, each tried before training and left uncompiled, with a sentence, where it fails.

A compiler joins what stands between two matrix products into one pass over memory, which is most of the time of a step
on a GPU. Three kinds of parts are compiled, each as a whole: the views of a batch, every encoder, and the contrast.
Before it is used every part must give, on the first batch, what the uncompiled one gives, gradients included; of an
encoder with dropout, which draws other numbers once compiled, only the sizes can be compared. Several processes decide
together: a part that fails in one of them runs uncompiled in all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch._functorch.config
from torch import Tensor, nn

from c2vl_lab.data.draws import Draws
from c2vl_lab.dist import anywhere
from c2vl_lab.learners.base import LOOK, Learner
from c2vl_lab.models.base import Encoder
from c2vl_lab.objective import ConceptContrast

Say = Callable[[str], None]
CALLS = 3  # CUDA graphs warm up in the first, record in the second and play in the third
CLOSE = 0.02  # of the largest value: what rounding to bfloat16 may change in ten blocks


class CompiledParts:
    """Compiles what it can of a learner, for batches, or pieces of them, of one size; :meth:`undo` takes it back.

    A contrast of whole batches whose clips pass in pieces is compiled once more, by the first step.

    Args:
        learner: on its device; it stays as it is, but for how its parts are computed.
        graphs: whether the compiled parts are replayed as CUDA graphs.
        say: receives a sentence for every part that stays uncompiled.
        backend: of ``torch.compile``; a processor without a C++ compiler has others than "inductor".
    """

    def __init__(self, learner: Learner, graphs: bool, say: Say, backend: str = "inductor") -> None:
        self.learner, self.say = learner, say
        self.settings: dict[str, Any] = {"fullgraph": True, "dynamic": False, "backend": backend}
        if graphs:
            self.settings["mode"] = "reduce-overhead"
        self.compiled: list[str] = []

    def try_on(self, clips: Tensor, rows: Tensor, seed: int) -> list[str]:
        """Compile part by part with the run's first batch.

        Args:
            clips: (N, T, M, V, 3), as many as a step passes at once, on the device of the run.
            rows: (N,) their training rows.
            seed: the run's.

        Returns:
            the names of the parts that are compiled.
        """
        learner = self.learner
        # a compiled part may be asked for its gradient twice, as where a batch passes in pieces
        torch._functorch.config.donated_buffer = False
        learner.train()
        kept = {name: value.clone() for name, value in learner.state_dict().items()}  # running statistics move
        encoders = {part: name for name, part in learner.named_modules() if isinstance(part, Encoder)}
        asked: dict[Encoder, tuple[bool, bool, Tensor]] = {}  # in training?, with gradient?, of what?

        def note(part: nn.Module, given: tuple[Tensor, ...]) -> None:
            asked[cast(Encoder, part)] = (part.training, torch.is_grad_enabled(), given[0])

        hooks = [part.register_forward_pre_hook(note) for part in encoders]
        learner.batch_terms(clips, rows, 1.0, seed, 1)
        for hook in hooks:
            hook.remove()
        self._try_look(lambda: learner.look(clips, Draws(seed, 1, rows, LOOK)))
        for part, how in asked.items():
            self._try_encoder(encoders[part], part, *how)
        for name, part in learner.named_modules():
            if isinstance(part, ConceptContrast):  # it wants all that a step makes
                self._try_module(name, part, lambda: self._step(clips, rows, seed))
        learner.load_state_dict(kept)
        learner.train()
        return self.compiled

    def undo(self) -> None:
        """All parts as they were."""
        self.learner.__dict__.pop("look", None)
        for part in self.learner.modules():
            part._compiled_call_impl = None  # torch has no call for it
        self.compiled.clear()

    def _try_look(self, look: Callable[[], dict[str, Tensor]]) -> None:
        """The views of a batch."""
        wanted = list(look().values())
        self.learner.__dict__["look"] = torch.compile(self.learner.look, **self.settings)
        if not self._agree("look", lambda: list(look().values()), wanted):
            self.learner.__dict__.pop("look")

    def _try_encoder(self, name: str, encoder: Encoder, training: bool, gradient: bool, x: Tensor) -> None:
        """An encoder in the way that a step asks it."""
        given = [parameter for parameter in encoder.parameters() if parameter.requires_grad and gradient]
        encoder.train(training)

        def run() -> list[Tensor]:
            with torch.set_grad_enabled(gradient):
                hidden = self.learner.encode(encoder, x)
            if not training:
                return [hidden]
            size = hidden.square().mean()
            return [size.detach(), _gradient_size(size, given)] if given else [size]

        self._try_module(name, encoder, run, 0.1 + len(x) ** -0.5 if training else CLOSE)

    def _step(self, clips: Tensor, rows: Tensor, seed: int) -> list[Tensor]:
        """The loss terms without soft targets and with two shares of them; the gradient's size."""
        found = []
        for progress in (0.0, 0.5, 1.0):
            torch.manual_seed(seed)
            terms = self.learner.batch_terms(clips, rows, progress, seed, 1)
            found += [term.detach() for term in terms.values()]
            trained = [p for p in self.learner.parameters() if p.requires_grad]
            loss = torch.stack(list(terms.values())).sum()
            found.append(_gradient_size(loss, trained))
        return found

    def _try_module(self, name: str, part: nn.Module, run: Callable[[], list[Tensor]], close: float = CLOSE) -> None:
        wanted = run()
        part.compile(**self.settings)
        if not self._agree(name, run, wanted, close):
            part._compiled_call_impl = None

    def _agree(self, name: str, run: Callable[[], list[Tensor]], wanted: list[Tensor], close: float = CLOSE) -> bool:
        """Whether the compiled part runs, in every process, and gives what is wanted; a sentence where not."""
        for _ in range(CALLS):  # asked after each call, for one with shared norms meets the other processes
            complaint = _complaint(name, run, wanted, close)
            if anywhere(bool(complaint)):
                self.say(
                    complaint
                    or f"torch.compile failed on '{name}' in another process: it runs uncompiled in all of them, "
                    "slower and with the same numbers. compile='off' leaves out the attempt."
                )
                return False
        self.compiled.append(name)
        return True


def _complaint(name: str, run: Callable[[], list[Tensor]], wanted: list[Tensor], close: float) -> str:
    """What is wrong with one call of a compiled part, in a sentence; empty where nothing is."""
    try:
        for found, value in zip(run(), wanted, strict=True):
            apart = float((found - value).abs().max() / value.abs().max().clamp_min(1e-6))
            if not apart <= close:
                return (
                    f"torch.compile gave other numbers for '{name}' (apart by {apart:.2g} of the largest, "
                    f"{close:g} is allowed): it runs uncompiled, slower and with the right ones."
                )
    except Exception as error:  # a compiler fails in more ways than it has types for
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
        return (
            f"torch.compile failed on '{name}' ({type(error).__name__}: {lines[0][:200]}): it runs uncompiled, "
            "slower and with the same numbers. compile='off' leaves out the attempt."
        )
    return ""


def _gradient_size(loss: Tensor, parameters: list[Any]) -> Tensor:
    """Euclidean length of the gradient."""
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.stack(torch._foreach_norm([part for part in gradients if part is not None])).norm()
