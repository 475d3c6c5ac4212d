"""One look for every figure: a fixed colour, marker and name per method through the whole book.

The colours are Okabe and Ito's, which stay apart for colour-blind readers; markers and line
styles repeat the distinction, so that a figure also reads in grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from mmlib import checks

__all__ = [
    "LOOKS",
    "Look",
    "curve",
    "image_grid",
    "interval",
    "look",
    "points",
    "use_style",
]


class Look(NamedTuple):
    """How a method is drawn."""

    label: str
    colour: str
    marker: str
    line: str


LOOKS: dict[str, Look] = {
    "none": Look("no mixup", "#4d4d4d", "o", "--"),
    "input": Look("input mixup", "#0072b2", "s", "-."),
    "input_2": Look("input mixup, α = 2", "#332288", "h", "-."),
    "manifold": Look("Manifold Mixup", "#d55e00", "D", "-"),
    "manifold_all": Look("Manifold Mixup, all layers", "#cc79a7", "P", "-"),
    "blocked": Look("gradient blocked", "#e69f00", "v", ":"),
    "factor": Look("factor mixup", "#009e73", "^", "-"),
    "kmixup": Look("k-mixup", "#56b4e9", "X", "-"),
    "smoothing": Look("label smoothing", "#009e73", "$s$", "--"),
    "decay": Look("weight decay", "#56b4e9", "$w$", ":"),
    "rescaled": Look("weight decay, loss rescaled", "#882255", "$r$", "-."),
    "fgsm_training": Look("training on FGSM examples", "#882255", "<", "--"),
    "supervised": Look("labels only", "#4d4d4d", "p", "--"),
    "mean_teacher": Look("Mean Teacher", "#009e73", ">", "-"),
    "vat": Look("VAT", "#e69f00", "d", ":"),
    "vat_em": Look("VAT with entropy", "#882255", "8", "--"),
    "eq1": Look("mixes alone (eq. 1)", "#999933", "x", ":"),
    "fr": Look("real-fake, all fake (eq. 2)", "#56b4e9", "+", "-."),
    "fr_ff": Look("and fake-fake (eq. 3)", "#0072b2", "1", "-."),
    "final": Look("soft labels, three pairs (eq. 7)", "#d55e00", "H", "-"),
    "fr_all": Look("all fake, in all layers", "#661100", "3", "--"),
    "final_all": Look("soft labels, in all layers", "#aa4499", "4", "-"),
    "four": Look("soft labels, four pairs", "#009e73", "2", "-"),
    "printed": Look("printed", "#000000", "*", ""),
    "ideal": Look("ideal classifier", "#000000", "_", ":"),
}


def use_style() -> None:
    """Set the book's figure style: small type, no box, white card, sharp on dense screens."""
    plt.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 160,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "font.size": 9.5,
            "axes.titlesize": 10,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#e6e6e6",
            "grid.linewidth": 0.7,
            "legend.frameon": False,
            "lines.linewidth": 1.7,
            "lines.markersize": 5,
            "image.cmap": "gray",
        }
    )


def look(method: str) -> Look:
    """Return a method's look.

    Raises:
        ValueError: unknown method (the nearest names are given).

    Example:
        >>> look("manifold").label
        'Manifold Mixup'
    """
    return LOOKS[checks.choice("method", method, tuple(LOOKS))]


def interval(samples: np.ndarray, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and half-width of the t interval over the first axis (half-width 0 for one run).

    Example:
        >>> mean, half = interval(np.array([1.0, 2.0, 3.0]))
        >>> float(mean), round(float(half), 3)
        (2.0, 2.484)
    """
    samples = np.asarray(samples, dtype=float)
    n = len(samples)
    if n < 2:
        return samples.mean(0), np.zeros(samples.shape[1:])
    half = stats.t.ppf(0.5 + level / 2, n - 1) * samples.std(0, ddof=1) / np.sqrt(n)
    return samples.mean(0), half


def curve(
    ax: Axes,
    x: Sequence[float],
    samples: np.ndarray,
    method: str,
    *,
    label: str | None = None,
    every: int = 5,
) -> None:
    """Draw the mean of (S, X) samples over seeds as a line with its 95 % band.

    Example:
        >>> fig, ax = plt.subplots()
        >>> curve(ax, [1, 2, 3], np.array([[3.0, 2.0, 1.0], [3.5, 2.5, 1.5]]), "manifold")
        >>> len(ax.lines)
        1
        >>> plt.close(fig)
    """
    name, colour, marker, line = look(method)
    mean, half = interval(samples)
    ax.plot(x, mean, line, color=colour, marker=marker, markevery=every, label=label or name)
    ax.fill_between(x, mean - half, mean + half, color=colour, alpha=0.18, linewidth=0)


def points(
    ax: Axes,
    position: float,
    samples: Sequence[float],
    method: str,
    *,
    label: str | None = None,
    vertical: bool = True,
) -> None:
    """Draw each run as a faint dot and the mean with its 95 % interval beside it.

    Example:
        >>> fig, ax = plt.subplots()
        >>> points(ax, 0, [1.0, 2.0, 3.0], "manifold")
        >>> bool(ax.get_ylim()[0] < 1 < 3 < ax.get_ylim()[1])
        True
        >>> plt.close(fig)
    """
    name, colour, marker, _ = look(method)
    samples = np.asarray(samples, dtype=float)
    mean, half = interval(samples)
    spread = position + np.linspace(-0.06, 0.06, len(samples))
    if vertical:
        ax.scatter(spread, samples, s=12, color=colour, alpha=0.35, linewidths=0)
        ax.errorbar(
            position, mean, half, color=colour, marker=marker, capsize=3, label=label or name
        )
    else:
        ax.scatter(samples, spread, s=12, color=colour, alpha=0.35, linewidths=0)
        ax.errorbar(
            mean, position, xerr=half, color=colour, marker=marker, capsize=3, label=label or name
        )


def image_grid(
    images: np.ndarray,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    size: float = 0.85,
) -> Figure:
    """Show (R, C, H, W) grey or (R, C, H, W, 3) colour images in [0, 1] as a labelled grid.

    Raises:
        ValueError: the array has another number of dimensions.

    Example:
        >>> fig = image_grid(np.zeros((2, 3, 8, 8)), rows=("a", "b"))
        >>> len(fig.axes)
        6
        >>> plt.close(fig)
    """
    images = np.asarray(images)
    if images.ndim not in (4, 5):
        raise ValueError(f"images: expected (R, C, H, W) or (R, C, H, W, 3), got {images.shape}")
    n_rows, n_columns = images.shape[:2]
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=(size * n_columns + 0.9, size * n_rows + 0.3), squeeze=False
    )
    for row in range(n_rows):
        for column in range(n_columns):
            ax = axes[row, column]
            ax.imshow(images[row, column], vmin=0, vmax=1, interpolation="nearest")
            ax.set_xticks([])
            ax.set_yticks([])
            ax.spines[:].set_visible(False)
            if row == 0 and columns:
                ax.set_title(columns[column], fontsize=8, loc="center")
            if column == 0 and rows:
                ax.set_ylabel(rows[row], rotation=0, ha="right", va="center", fontsize=8.5)
    return figure
