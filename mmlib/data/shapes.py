"""Coloured shapes: a small image set made from a formula, for colour chapters without a network."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mmlib.data.readers import Images

SIZE = 32
N_TRAIN = 8_000
N_TEST = 2_000
CLASSES = (
    "disc",
    "ring",
    "square",
    "triangle",
    "pentagon",
    "star",
    "cross",
    "bar",
    "half disc",
    "crescent",
)
_SEED = 20180605
_CHUNK = 100  # so that the arrays of a chunk stay in a processor's cache


def _polygon(u: np.ndarray, v: np.ndarray, corners: int) -> np.ndarray:
    half = np.pi / corners
    angle = np.mod(np.arctan2(u, v) + half, 2 * half) - half
    return np.hypot(u, v) * np.cos(np.abs(angle) - half) - np.cos(half)


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    half = np.pi / 5
    angle = np.abs(np.mod(np.arctan2(u, v) + half, 2 * half) - half)
    along, across = np.hypot(u, v) * np.cos(angle), np.hypot(u, v) * np.sin(angle)
    inner = (0.42 * np.cos(half), 0.42 * np.sin(half))
    edge = np.array([1.0 - inner[0], inner[1]])
    return ((along - 1.0) * edge[1] + across * edge[0]) / np.hypot(*edge)


def _level(kind: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return a function that is negative inside shape `kind` and grows like the distance."""
    a, b, r = np.abs(u), np.abs(v), np.hypot(u, v)
    formulas = {
        "disc": lambda: r - 0.85,
        "ring": lambda: np.abs(r - 0.72) - 0.2,
        "square": lambda: np.maximum(a, b) - 0.75,
        "triangle": lambda: _polygon(u, v, 3),
        "pentagon": lambda: _polygon(u, v, 5),
        "star": lambda: _star(u, v),
        "cross": lambda: np.minimum(np.maximum(a - 0.95, b - 0.3), np.maximum(a - 0.3, b - 0.95)),
        "bar": lambda: np.maximum(a - 1.0, b - 0.38),
        "half disc": lambda: np.maximum(np.hypot(u, v + 0.4) - 0.95, -(v + 0.4)),
        "crescent": lambda: np.maximum(r - 0.95, 0.75 - np.hypot(u - 0.5, v)),
    }
    return formulas[CLASSES[kind]]()


def _render(kinds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return ``(B, 3, SIZE, SIZE)`` uint8 images of the given kinds.

    A shape of random colour, size, angle and place lies on a background that runs between two
    random colours, with one disc behind it, one in front of it, and noise over everything; neither
    colour nor place says anything about the class. Only uniform doubles and bytes are drawn, so
    that the image does not depend on the platform.
    """
    n = len(kinds)
    grid = np.arange(SIZE) + 0.5
    x, y = grid[None, None, :], grid[None, :, None]

    def draw(low: float, high: float, *shape: int) -> np.ndarray:
        return low + (high - low) * rng.random((n, *shape, 1, 1))

    start, stop, turn = draw(30, 225, 3), draw(30, 225, 3), draw(0, 2 * np.pi)
    along = ((x - 16) * np.cos(turn) + (y - 16) * np.sin(turn)) / (SIZE * np.sqrt(2)) + 0.5
    image = start + (stop - start) * along[:, None]
    size, angle = draw(6.5, 11.0), draw(0, 2 * np.pi)
    dx, dy = (x - draw(11, 21)) / size, (y - draw(11, 21)) / size
    u = np.cos(angle) * dx + np.sin(angle) * dy
    v = np.cos(angle) * dy - np.sin(angle) * dx
    level = np.empty(u.shape)
    for kind in np.unique(kinds):
        rows = kinds == kind
        level[rows] = _level(int(kind), u[rows], v[rows])
    cover = np.clip(0.5 - level * size, 0, 1)[:, None]
    # The shape's colour differs from the middle of its background by at least 45 in each channel.
    middle, contrast = (start + stop) / 2, draw(45, 110, 3)
    colour = middle + np.where(middle > 127.5, -contrast, contrast)
    blobs = [
        (np.clip(0.5 - np.hypot(x - draw(0, SIZE), y - draw(0, SIZE)) + draw(1.0, 3.5), 0, 1))
        for _ in range(2)
    ]
    behind, before = blobs
    image += (draw(30, 225, 3) - image) * behind[:, None]
    image += (colour - image) * cover
    image += (draw(30, 225, 3) - image) * before[:, None]
    grain = np.frombuffer(rng.bytes(image.size * 2), np.uint8).reshape(2, *image.shape)
    image += (grain[0].astype(np.int16) - grain[1]) * (22 / 256)
    return np.clip(np.floor(image + 0.5), 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def colour_shapes() -> Images:
    """Return the coloured shapes: 8,000 training and 2,000 test images of 10 balanced classes.

    Returns:
        Images of 3 x 32 x 32 bytes, the same bytes in every call and on every machine.

    Example:
        >>> images = colour_shapes()
        >>> images.x_train.shape, images.y_train[:6].tolist()
        ((8000, 3, 32, 32), [0, 1, 2, 3, 4, 5])
    """
    rng = np.random.default_rng(_SEED)
    labels = np.arange(N_TRAIN + N_TEST) % len(CLASSES)
    parts = [_render(labels[i : i + _CHUNK], rng) for i in range(0, len(labels), _CHUNK)]
    images = np.concatenate(parts)
    images.flags.writeable = labels.flags.writeable = False
    return Images(images[:N_TRAIN], labels[:N_TRAIN], images[N_TRAIN:], labels[N_TRAIN:], CLASSES)
