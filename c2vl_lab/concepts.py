"""The concept space: teacher features of every clip, pooled, centred and ready to be a target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from c2vl_lab.errors import ConfigError, DataError
from c2vl_lab.teachers.feature_files import FeatureRows, Features
from c2vl_lab.teachers.features import image_features, text_features

__all__ = [
    "ConceptConfig",
    "ConceptSpace",
    "choose_tau",
    "effective_targets",
    "image_features",
    "target_warning",
    "text_features",
]

POOLINGS = ("mean", "ordered", "attention", "subset")
EACH_STEP = ("attention", "subset")  # pooled while training
CENTRINGS = ("places", "clip", "none")
BLOCK = 2**22  # numbers that are worked on at a time
PCA_ROWS = 4096  # rows that the PCA looks at, spread evenly: exact, and bounded in memory on large sets


@dataclass(frozen=True)
class ConceptConfig:
    """How K features of a clip become one concept.

    Attributes:
        pooling: ``"mean"`` averages the K features, as the paper's figure suggests; ``"ordered"`` concatenates them
            in their fixed order and reduces them by PCA; ``"attention"`` weighs them by a query that the contrast
            trains; ``"subset"`` averages a random part of them in each step. All but the mean are our choice. The
            suites take "ordered" for the kinematic captions, whose places mean something: inside the small sets'
            training splits it did best (reports/choices.md).
            With the last two, soft targets and the arm "prompts" use the mean of all K.
        subset: features of a step's average; 0: half of K. Only for ``"subset"``.
        components: dimensions that the PCA keeps, at most; only for ``"ordered"``.
        center: ``"clip"`` subtracts the training split's mean from the pooled concept; ``"places"`` does so also at
            each of the K places before pooling and brings what is left to unit length, so that every place has a say
            (our choice; inside the small sets' training splits the captions' own probe gained 2 to 4 points);
            ``"none"`` leaves soft targets nearly uniform and is there for comparison.
    """

    pooling: str = "mean"
    components: int = 256
    center: str = "places"
    subset: int = 0

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise ConfigError(f"There is no pooling named '{self.pooling}'. Known: {', '.join(POOLINGS)}.")
        if self.center not in CENTRINGS:
            raise ConfigError(f"There is no centring named '{self.center}'. Known: {', '.join(CENTRINGS)}.")
        if self.components < 1:
            raise ConfigError(f"components: wanted at least 1, found {self.components}.")
        if self.subset < 0:
            raise ConfigError(f"subset: wanted 0 (half of the features) or more, found {self.subset}.")


@dataclass(frozen=True)
class PooledEachStep:
    """Training clips whose K features are pooled anew in each step.

    Attributes:
        features: (n, K, D) teacher features, on the disk.
        places: (K, D) means to subtract, or None.
        mean: (D,) to subtract from the pooled concept.
        subset: features drawn; 0: attention over all.
    """

    features: FeatureRows
    places: np.ndarray | None
    mean: np.ndarray
    subset: int


class ConceptSpace:
    """Pooling, PCA and centring, fitted on training clips only (our reconstruction of the paper's space).

    Attributes:
        config: the settings.
        prompts: K, the number of features a clip that the space was fitted on.
        dimensions: D, of each feature.
        explained: share of the training variance that the PCA keeps (1.0 for the mean).
    """

    def __init__(self, config: ConceptConfig, prompts: int, dimensions: int):
        self.config = config
        self.prompts = prompts
        self.dimensions = dimensions
        self.explained = 1.0
        self._places: np.ndarray | None = None  # (K, D) the training split's mean at each place
        self._offset: np.ndarray | None = None  # (K * D,) subtracted before the PCA
        self._axes: np.ndarray | None = None  # (K * D, D') principal axes
        self._mean: np.ndarray | float = 0.0  # (D',) the training split's mean

    @classmethod
    def fit(cls, features: Features, train: np.ndarray, config: ConceptConfig | None = None) -> ConceptSpace:
        """Fit on the training rows; rows with NaN (clips without pictures) are left out.

        Args:
            features: (N, K, D) teacher features; rows outside ``train`` are not looked at. Features on the disk are
                read block by block.
            train: indices of the training split's clips.
            config: the settings.

        Raises:
            DataError: fewer than two training rows have features.
        """
        config = config or ConceptConfig()
        space = cls(config, features.shape[1], features.shape[2])
        if config.subset > features.shape[1]:
            raise ConfigError(f"subset: {config.subset} of {features.shape[1]} features a clip were asked for.")
        rows = np.asarray(train)
        finite = [np.isfinite(block).all(axis=(1, 2)) for block in _read(features, rows)]
        rows = rows[np.concatenate([np.zeros(0, bool), *finite])]
        if len(rows) < 2:
            raise DataError(f"A concept space wants at least 2 training clips with features, found {len(rows)}.")
        if config.center == "places":
            space._places = sum(_unit(block).sum(axis=0) for block in _read(features, rows)) / len(rows)
        if config.pooling == "ordered":
            space._fit_axes(features, rows)
        if config.center != "none":
            pooled = (_unit(space._pool(space._each(block))) for block in _read(features, rows))
            space._mean = sum(block.sum(axis=0) for block in pooled) / len(rows)
        return space

    def transform(self, features: Features, ordered: bool = True) -> np.ndarray:
        """Concepts of clips or of class names.

        Args:
            features: (N, K, D). Another K than the fitted one has no order to keep: such features (class
                prompts) are averaged, and for ``"ordered"`` their mean stands at every position. Where places are
                centred they are centred on their own mean, since they are texts of another kind.
            ordered: False says that the positions mean nothing even though K fits.

        Returns:
            (N, D') float32, L2-normalised; rows with NaN stay NaN.

        Raises:
            DataError: the features' dimension is not the fitted one.
        """
        if features.shape[2] != self.dimensions:
            raise DataError(f"Wanted features of {self.dimensions} dimensions, found {features.shape[2]}.")
        apart = not ordered or features.shape[1] != self.prompts
        if apart:
            return self._finished(self._alike(features[:]))
        blocks = [self._finished(self._each(block)) for block in _read(features, np.arange(len(features)))]
        return np.concatenate(blocks) if blocks else self._finished(self._each(features[:]))

    def each_step(self, features: FeatureRows) -> PooledEachStep | None:
        """What a learner needs to pool training clips itself; None where the concepts are all it needs.

        Args:
            features: (n, K, D) of the training clips, in the learner's order.
        """
        if self.config.pooling not in EACH_STEP:
            return None
        size = 0 if self.config.pooling == "attention" else self.config.subset or max(1, self.prompts // 2)
        places = None if self._places is None else self._places.astype(np.float32)
        mean = np.broadcast_to(self._mean, self.dimensions).astype(np.float32)
        return PooledEachStep(features, places, mean, size)

    def _finished(self, each: np.ndarray) -> np.ndarray:
        """(N, K, D) -> (N, D') float32: pooled, centred, of unit length."""
        return _unit(_unit(self._pool(each)) - self._mean).astype(np.float32)

    def _each(self, features: np.ndarray) -> np.ndarray:
        """(N, K, D) unit-length features, centred at each place if so wished."""
        unit = _unit(features)
        return unit if self._places is None else _mostly_unit(unit - self._places)

    def _alike(self, features: np.ndarray) -> np.ndarray:
        """(N, K, D): the mean of features without places, standing at every place."""
        mean = _unit(_unit(features).mean(axis=1))
        if self._places is not None:
            mean = _mostly_unit(mean - (mean.mean(axis=0) if len(mean) > 1 else self._places.mean(axis=0)))
        return np.repeat(mean[:, None], self.prompts, axis=1)

    def _pool(self, each: np.ndarray) -> np.ndarray:
        """(N, K, D) -> (N, D') float64 before normalisation."""
        if self._axes is None:
            return each.mean(axis=1)
        return (_flat(each) - self._offset) @ self._axes

    def _fit_axes(self, features: Features, clips: np.ndarray) -> None:
        """Principal axes of the clips' (n, K * D) rows; through the smaller of the two Gram matrices, signs fixed."""
        if len(clips) > PCA_ROWS:
            clips = clips[np.linspace(0, len(clips) - 1, PCA_ROWS).round().astype(int)]
        rows = _flat(self._each(features[clips]))
        # without centring the axes keep the mean's direction, so that cosines stay what they were
        self._offset = rows.mean(axis=0) if self.config.center != "none" else np.zeros(rows.shape[1])
        rows = rows - self._offset
        tall = len(rows) > rows.shape[1]
        values, vectors = np.linalg.eigh(rows.T @ rows if tall else rows @ rows.T)
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
        keep = min(self.config.components, int((values > 1e-10 * max(values[0], 1e-30)).sum()))
        if keep == 0 or values[0] <= 1e-20:
            raise DataError("All training clips have the same features, so no concept space can be fitted.")
        axes = vectors[:, :keep] if tall else rows.T @ vectors[:, :keep] / np.sqrt(values[:keep])
        strongest = np.abs(axes).argmax(axis=0)
        self._axes = axes * np.sign(axes[strongest, np.arange(keep)])
        self.explained = float(values[:keep].sum() / values.sum())


def effective_targets(features: np.ndarray, tau: float, batch: int, draws: int = 8, seed: int = 0) -> float:
    """How many clips share a soft target: mean exp(entropy) of its rows over random training batches.

    Args:
        features: (N, D) L2-normalised concepts of training clips; rows with NaN are left out.
        tau: temperature of the soft target, softmax(cosine / tau).
        batch: clips in a batch.
        draws: number of random batches.
        seed: of the draw.

    Returns:
        Between 1 (one-hot) and ``batch`` (uniform).

    Raises:
        DataError: fewer than two rows have features.
    """
    return _effective(_batches(features, batch, draws, seed), tau)


def choose_tau(features: np.ndarray, wanted: float = 3.0, batch: int = 128, draws: int = 8, seed: int = 0) -> float:
    """The temperature at which a soft target has ``wanted`` effective targets, by bisection.

    Args:
        features: (N, D) L2-normalised concepts of training clips; rows with NaN are left out.
        wanted: effective targets, more than 1 and less than the batch.
        batch: clips in a batch.
        draws: number of random batches.
        seed: of the draw.

    Raises:
        ConfigError: ``wanted`` is out of range.
        DataError: fewer than two rows have features.
    """
    batches = _batches(features, batch, draws, seed)
    size = batches[0].shape[0]
    if not 1.0 < wanted < size:
        raise ConfigError(f"effective targets: wanted more than 1 and less than the batch of {size}, found {wanted}.")
    low, high = np.log(1e-3), np.log(1e2)
    for _ in range(40):
        middle = (low + high) / 2
        if _effective(batches, float(np.exp(middle))) < wanted:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def target_warning(effective: float, batch: int) -> str:
    """One sentence where soft targets carry nothing, or an empty string."""
    if effective < 1.05:
        return f"Soft targets are one-hot ({effective:.2f} effective targets): raise tau, or they teach nothing new."
    if effective > batch / 2:
        return (
            f"Soft targets are nearly uniform ({effective:.0f} effective targets of {batch}): "
            "lower tau and keep the centring on."
        )
    return ""


def _batches(features: np.ndarray, batch: int, draws: int, seed: int) -> list[np.ndarray]:
    """Cosines inside ``draws`` random batches."""
    rows = np.asarray(features, np.float64)
    rows = rows[np.isfinite(rows).all(axis=1)]
    if len(rows) < 2:
        raise DataError(f"Effective targets want at least 2 training clips with features, found {len(rows)}.")
    rng = np.random.default_rng(seed)
    size = min(batch, len(rows))
    chosen = [rows[rng.choice(len(rows), size, replace=False)] for _ in range(draws)]
    return [part @ part.T for part in chosen]


def _effective(batches: list[np.ndarray], tau: float) -> float:
    """Mean exp(entropy) of softmax(cosine / tau)."""
    values = []
    for cosines in batches:
        logits = cosines / tau
        logits = logits - logits.max(axis=1, keepdims=True)
        total = np.exp(logits).sum(axis=1, keepdims=True)
        log_share = logits - np.log(total)
        values.append(np.exp(-(np.exp(log_share) * log_share).sum(axis=1)).mean())
    return float(np.mean(values))


def _read(features: Features, rows: np.ndarray) -> Iterator[np.ndarray]:
    """The rows' features, block by block."""
    size = max(1, BLOCK // max(1, features.shape[1] * features.shape[2]))
    for start in range(0, len(rows), size):
        yield features[rows[start : start + size]]


def _unit(array: np.ndarray) -> np.ndarray:
    """L2-normalised along the last axis, float64; a zero vector stays zero."""
    array = np.asarray(array, np.float64)
    return array / np.maximum(np.linalg.norm(array, axis=-1, keepdims=True), 1e-12)


def _mostly_unit(array: np.ndarray) -> np.ndarray:
    """Unit length along the last axis; what is shorter than 0.2 is mostly noise and grows fivefold at most."""
    return array / np.maximum(np.linalg.norm(array, axis=-1, keepdims=True), 0.2)


def _flat(each: np.ndarray) -> np.ndarray:
    """(N, K, D) -> (N, K * D), the features one after another."""
    return each.reshape(len(each), -1)
