"""Which examples a semi-supervised run may see with their labels, and which without."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.checks import integer
from mmlib.data.dataset import _balanced


class Split(NamedTuple):
    """Sorted positions in the training set, on its device.

    Attributes:
        labelled: images whose labels are known, the same number of every class (up to one).
        unlabelled: all images but those of the validation set, the labelled ones among them.
        validation: images on which the model is selected; their labels are known too.
    """

    labelled: Tensor
    unlabelled: Tensor
    validation: Tensor


def ssl_split(y: Tensor, n_labels: int, n_valid: int, *, seed: int = 0) -> Split:
    """Split a training set as in section 4.2 and appendix C of Manifold Mixup v1.

    The validation set is drawn first, at random; it depends on the seed and on `n_valid` alone.
    The labelled images are drawn from the rest, balanced over classes, so that with one seed those
    of fewer labels are among those of more (for multiples of the number of classes). As in Oliver
    et al. (2018) and in the released code the labelled images are unlabelled ones too.

    Args:
        y: ``(N,)`` classes of the training set.
        n_labels: Number of labels, at least one for every class.
        n_valid: Number of validation images, 0 for none.
        seed: Seed of the split.

    Raises:
        ValueError: More labels are asked for than there are, a class would have none, or no
            unlabelled image would be left.

    Example:
        >>> y = torch.arange(100) % 10
        >>> split = ssl_split(y, n_labels=20, n_valid=30)
        >>> [len(part) for part in split], y[split.labelled].bincount().tolist()
        ([20, 70, 30], [2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    """
    n_valid = integer("n_valid", n_valid, low=0)
    n_labels = integer("n_labels", n_labels, low=1)
    if n_valid >= len(y):
        raise ValueError(
            f"n_valid: expected fewer than the {len(y)} training examples, but got {n_valid}: "
            "the unlabelled set would be empty"
        )
    rng = torch.Generator().manual_seed(integer("seed", seed, low=0))
    order = torch.randperm(len(y), generator=rng)
    validation, rest = order[:n_valid].sort().values, order[n_valid:].sort().values
    classes = y.cpu()
    left = classes[rest]
    wanted = len(torch.unique(classes))
    if n_labels > len(rest):
        raise ValueError(
            f"n_labels: expected at most {len(rest)}, the training examples outside the "
            f"validation set, but got {n_labels}"
        )
    if n_labels < wanted:
        raise ValueError(
            f"n_labels: expected at least one label for each of the {wanted} classes, "
            f"but got {n_labels}: a class would have no labelled example"
        )
    if len(torch.unique(left)) < wanted:
        raise ValueError(
            f"n_valid: with {n_valid} validation examples a class has no labelled example left"
        )
    chosen = rest[_balanced(left, n_labels, "labels", "the training set", False, rng)]
    return Split(*(part.to(y.device) for part in (chosen, rest, validation)))
