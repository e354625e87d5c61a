"""A packed encoder as a scikit-learn transformer: raw skeleton clips in, features out, no training code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from c2vl_lab.device import pick_device
from c2vl_lab.embed import embed
from c2vl_lab.errors import ConfigError
from c2vl_lab.sharing.opening import OpenedEncoder, open_encoder
from c2vl_lab.sharing.raw_clips import Layout, as_clips, layout_given, prepare_raw

BATCH = 256  # what `c2vl evaluate` uses


def load_encoder(
    path: str | Path, layout: Layout = None, device: str = "auto", people: int = 0, batch_size: int = BATCH
) -> SkeletonEncoder:
    """Load an encoder; call the result with raw skeleton clips::

        features = load_encoder("encoder.zip")(clips)      # a list of (frames, joints, 3) -> (N, D)

    Args:
        path: a run folder, an archive of ``c2vl pack``, or a folder it was unpacked into.
        layout, device, people, batch_size: see :class:`SkeletonEncoder`.

    Raises:
        MissingError, DataError, ConfigError: as :func:`~c2vl_lab.sharing.opening.open_encoder` and
            :func:`~c2vl_lab.sharing.raw_clips.layout_given`; no such device.
    """
    return SkeletonEncoder(str(path), layout, device, people, batch_size).fit()


class SkeletonEncoder(TransformerMixin, BaseEstimator):
    """A trained skeleton encoder, shaped like a scikit-learn transformer; nothing is learned here.

    Clips are normalised and resampled exactly as the run's own were. The features are those that ``c2vl evaluate``
    measures, to the bit where the same clips go through in the same batches on the same device; other batches may
    change the last digits.

    Args:
        path: a run folder, an archive of ``c2vl pack``, or a folder it was unpacked into.
        layout: joints of the arrays: a layout, the name of a known one (ntu25, kinect20, coco17, h36m17, smpl22),
            ``{joint: parent joint}``, or a ``.json`` file of it; None: the encoder's own joints. Another layout is
            mapped by joint names (:mod:`c2vl_lab.data.mapping`).
        device: "auto", "cpu" or "cuda".
        people: body slots of a clip; 0: as many as the run's data set had.
        batch_size: clips that go through the encoder together.
    """

    def __init__(
        self, path: str, layout: Layout = None, device: str = "auto", people: int = 0, batch_size: int = BATCH
    ) -> None:
        self.path = path
        self.layout = layout
        self.device = device
        self.people = people
        self.batch_size = batch_size

    def fit(self, clips: Any = None, y: Any = None) -> SkeletonEncoder:
        """Open the encoder, if that has not been done yet; the clips are not looked at."""
        if self.people < 0 or self.batch_size < 1:
            raise ConfigError(f"people wants 0 or more, batch_size 1 or more; found {self.people}, {self.batch_size}.")
        opened, device = open_encoder(self.path), pick_device(self.device)
        layout_given(self.layout, opened.layout)
        opened.encoder.to(device)
        self.opened_, self.device_ = opened, device
        return self

    def prepare(self, clips: Any, lengths: Any = None) -> np.ndarray:
        """(N, frames, people, joints, 3) normalised clips, as the encoder and its exported forms read them."""
        return self._prepared(as_clips(clips, lengths), 0)

    def transform(self, clips: Any, lengths: Any = None) -> np.ndarray:
        """Raw clips to features.

        Args:
            clips: a list of (frames, joints, 3) or (frames, people, joints, 3) in metres with y up, each of any
                length; or an array with one axis more in front, padded behind ``lengths``.
            lengths: (N,) frames of each row of such an array; None: all frames are the clip's.

        Returns:
            (N, D) float32.

        Raises:
            DataError: a clip of another shape, or without a body; its number is named.
        """
        every = as_clips(clips, lengths)
        opened = self._open()
        own, parts = opened.description, []
        for start in range(0, len(every), self.batch_size):
            part = self._prepared(every[start : start + self.batch_size], start)
            parts.append(
                embed(opened.encoder, part, opened.layout, own.stream, own.frames, self.device_, self.batch_size)
            )
        return np.concatenate(parts) if parts else np.empty((0, opened.encoder.dim), np.float32)

    __call__ = transform

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """(D,) names: c2vl0, c2vl1, ..."""
        return np.array([f"c2vl{number}" for number in range(self._open().encoder.dim)], dtype=object)

    def _prepared(self, clips: list[np.ndarray], first: int) -> np.ndarray:
        own = self._open().description
        layout = layout_given(self.layout, own.skeleton.layout)
        return prepare_raw(clips, layout, own, self.people or own.skeleton.people, first)

    def _open(self) -> OpenedEncoder:
        if not hasattr(self, "opened_"):  # a Pipeline's transform calls no fit of its steps
            self.fit()
        return self.opened_

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags
