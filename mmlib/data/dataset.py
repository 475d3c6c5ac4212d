"""What a data set is to the rest of the library: a few tensors, their names and a fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import torch

from mmlib.checks import integer, number


def _generator(seed: int | torch.Generator) -> torch.Generator:
    if isinstance(seed, torch.Generator):
        return seed
    return torch.Generator().manual_seed(integer("seed", seed, low=0))


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def _balanced(
    y: torch.Tensor, n: int | None, split: str, name: str, at_most: bool, rng: torch.Generator
) -> torch.Tensor:
    """Return sorted positions of `n` examples whose class counts differ by at most one."""
    y = y.cpu()
    if n is None:
        return torch.arange(len(y))
    n = integer(f"n_{split}", n, low=1)
    labels, counts = torch.unique(y, return_counts=True)
    if at_most:
        n = min(n, len(labels) * int(counts.min()))
    if n > len(y):
        raise ValueError(
            f"n_{split}: {name} has {len(y)} {split} examples, but {n} were asked for "
            "(at_most=True takes as many as there are)"
        )
    if n == len(y):
        return torch.arange(n)
    share, rest = divmod(n, len(labels))
    wanted = torch.full((len(labels),), share)
    order = torch.randperm(len(labels), generator=rng)
    spare = counts[order] > share
    wanted[torch.cat([order[spare], order[~spare]])[:rest]] += 1
    chosen = []
    for label, want, have in zip(labels.tolist(), wanted.tolist(), counts.tolist(), strict=True):
        # The whole class is permuted, so that a larger subset of the same seed contains a smaller.
        order = torch.randperm(have, generator=rng)
        if want > have:
            raise ValueError(
                f"n_{split}: {n} balanced examples of {name} need {want} of class {label}, "
                f"which has {have} (at_most=True takes as many as there are)"
            )
        chosen.append((y == label).nonzero().squeeze(1)[order[:want]])
    return torch.cat(chosen).sort().values


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, all of them on one device, the images as bytes.

    Attributes:
        name: Name in the registry of the data that is really here, e.g. ``"digits"``.
        asked: Name that was asked for, e.g. ``"mnist"``; differs from `name` for a stand-in.
        title: Name for figures and tables, e.g. ``"MNIST"``.
        x_train: ``(N, C, H, W)`` uint8, 0 to 255.
        y_train: ``(N,)`` int64, 0 to K - 1.
        x_test: ``(M, C, H, W)`` uint8.
        y_test: ``(M,)`` int64.
        classes: The K class names.
        mean: Mean of x / 255 per channel, as the texts print it (or of the training images).
        std: Standard deviation of x / 255 per channel, likewise.
        embedded: True if the data come with the library or with scikit-learn.
        fingerprint: Hash of the name and of the contents.
        note: Where the data came from, in a sentence.
    """

    name: str
    asked: str
    title: str
    x_train: torch.Tensor = field(repr=False)
    y_train: torch.Tensor = field(repr=False)
    x_test: torch.Tensor = field(repr=False)
    y_test: torch.Tensor = field(repr=False)
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    embedded: bool
    fingerprint: str
    note: str

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return len(self.classes)

    @property
    def in_channels(self) -> int:
        """Number of colour channels C."""
        return self.x_train.shape[1]

    @property
    def image_size(self) -> int:
        """Height of an image in pixels (images are square)."""
        return self.x_train.shape[2]

    @property
    def device(self) -> torch.device:
        """Device on which the tensors live."""
        return self.x_train.device

    def inputs(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(x / 255 - mean) / std`` per channel: what a network is fed.

        Args:
            x: ``(B, C, H, W)`` uint8 images of this set.

        Returns:
            ``(B, C, H, W)`` float32, without unit.

        Raises:
            TypeError: `x` is not uint8 (already normalised images would be normalised twice).
            ValueError: `x` is no batch of images, or has another number of channels.

        Example:
            >>> from mmlib.data import load
            >>> shapes = load("colour_shapes").subset(100, 100)
            >>> shapes.inputs(shapes.x_train).shape
            torch.Size([100, 3, 32, 32])
        """
        if x.dtype != torch.uint8:
            raise TypeError(f"x: expected uint8 images, 0 to 255, but got {x.dtype}")
        if x.ndim != 4 or x.shape[1] != len(self.mean):
            raise ValueError(
                f"x: expected images of shape (B, {len(self.mean)}, H, W), "
                f"but got shape {tuple(x.shape)}"
            )
        std = torch.tensor(self.std, dtype=torch.float64)
        scale = (1.0 / (255.0 * std)).to(x.device, torch.float32).view(-1, 1, 1)
        shift = (torch.tensor(self.mean, dtype=torch.float64) / std).to(x.device, torch.float32)
        return torch.addcmul(-shift.view(-1, 1, 1), x.float(), scale)

    def subset(
        self,
        n_train: int | None = None,
        n_test: int | None = None,
        seed: int | torch.Generator = 0,
        *,
        at_most: bool = False,
    ) -> Dataset:
        """Return a smaller set with the same number of examples of every class (up to one).

        Equal seeds give equal subsets, on any device; with one seed, a subset of n training
        examples per class contains the one of fewer. The order of the set is kept.

        Args:
            n_train: Training examples to keep, None for all.
            n_test: Test examples to keep, None for all.
            seed: Seed, or a CPU generator.
            at_most: Take as many as a balanced subset can have when fewer than asked exist.

        Raises:
            ValueError: More examples, or more of one class, are asked for than exist.

        Example:
            >>> from mmlib.data import load
            >>> small = load("colour_shapes").subset(50, 20, seed=1)
            >>> small.y_train.bincount().tolist()
            [5, 5, 5, 5, 5, 5, 5, 5, 5, 5]
        """
        rng = _generator(seed)
        train = _balanced(self.y_train, n_train, "train", self.title, at_most, rng)
        test = _balanced(self.y_test, n_test, "test", self.title, at_most, rng)
        rows = (train.numpy().tobytes(), test.numpy().tobytes())
        train, test = train.to(self.device), test.to(self.device)
        return replace(
            self,
            x_train=self.x_train[train],
            y_train=self.y_train[train],
            x_test=self.x_test[test],
            y_test=self.y_test[test],
            fingerprint=_digest(self.fingerprint, *rows),
        )


@dataclass(frozen=True, eq=False)
class Table:
    """A table of numbers with a class per row, as the UCI archive has them.

    Attributes:
        name: Name in the registry of the data that is really here.
        asked: Name that was asked for; differs from `name` for a stand-in.
        title: Name for figures and tables.
        x: ``(N, F)`` float32, in the units of the source; NaN where the source has no value.
        y: ``(N,)`` int64, 0 to K - 1.
        features: The F column names.
        classes: The K class names.
        embedded: True if the data come with scikit-learn.
        fingerprint: Hash of the name and of the contents.
        note: Where the data came from, in a sentence.
    """

    name: str
    asked: str
    title: str
    x: torch.Tensor = field(repr=False)
    y: torch.Tensor = field(repr=False)
    features: tuple[str, ...] = field(repr=False)
    classes: tuple[str, ...]
    embedded: bool
    fingerprint: str
    note: str

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return len(self.classes)

    def split(
        self, test_share: float = 0.2, seed: int | torch.Generator = 0
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return ``x_train, y_train, x_test, y_test``, standardised by the training rows.

        Every column becomes ``(x - mean) / std`` with the mean and standard deviation of the
        training rows that have a value; a missing value becomes 0 (the mean), and so does every
        value of a column that is constant in the training rows. Rows are drawn at random.

        Args:
            test_share: Share of the rows that are tested on, between 0 and 1.
            seed: Seed, or a CPU generator.

        Raises:
            ValueError: `test_share` leaves no training or no test row.

        Example:
            >>> from mmlib.data import load
            >>> x_train, y_train, x_test, y_test = load("iris").split(seed=0)
            >>> x_train.shape, x_test.shape
            (torch.Size([120, 4]), torch.Size([30, 4]))
        """
        share = number("test_share", test_share, low=0, high=1, low_open=True, high_open=True)
        n_test = round(share * len(self.y))
        if not 0 < n_test < len(self.y):
            raise ValueError(
                f"test_share: {share} of {len(self.y)} rows leaves {n_test} test rows "
                f"and {len(self.y) - n_test} training rows"
            )
        order = torch.randperm(len(self.y), generator=_generator(seed)).to(self.x.device)
        test, train = order[:n_test], order[n_test:]
        known = self.x[train].double()
        mean = known.nanmean(0)
        std = (known - mean).square().nanmean(0).sqrt()
        # A column of 0.1's has a spread of rounding errors: it counts as constant.
        constant = ~(std > 1e-7 * mean.abs().clamp(min=1e-30))
        z = ((self.x.double() - mean) / std).masked_fill(constant, 0.0)
        z = torch.nan_to_num(z, nan=0.0).float()
        return z[train], self.y[train], z[test], self.y[test]
