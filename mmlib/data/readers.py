"""From files that have been checked to arrays: idx, CIFAR's pickles, SVHN's mat, UCI's text."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Images(NamedTuple):
    """Arrays of an image set: ``(N, C, H, W)`` uint8, ``(N,)`` int64, names of the classes."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]


class Columns(NamedTuple):
    """Arrays of a table: ``(N, F)`` float32, ``(N,)`` int64, names of columns and classes."""

    x: np.ndarray
    y: np.ndarray
    features: tuple[str, ...]
    classes: tuple[str, ...]


def read_idx(path: Path) -> np.ndarray:
    """Return the uint8 array of an idx file (MNIST's format), compressed or not.

    The header is two zero bytes, the type code 8 (uint8), the number of axes, and the length of
    each axis as a big-endian 32-bit integer.

    Raises:
        ValueError: The header does not describe the file.
    """
    data = path.read_bytes()
    raw = np.frombuffer(gzip.decompress(data) if path.suffix == ".gz" else data, np.uint8)
    start = 4 + 4 * int(raw[3]) if len(raw) > 3 else 4
    if raw[:3].tolist() != [0, 0, 8] or len(raw) < start:
        raise ValueError(f"{path}: not an idx file of bytes")
    shape = tuple(int(n) for n in raw[4:start].view(">u4"))
    if len(raw) - start != int(np.prod(shape)):
        raise ValueError(f"{path}: the header says {shape}, but {len(raw) - start} bytes follow")
    return raw[start:].reshape(shape)


def read_mnist(root: Path, folder: str, classes: Sequence[str], suffix: str = "") -> Images:
    """Return MNIST, or a set in its format, from the folder that torchvision gives it."""

    def part(name: str) -> np.ndarray:
        return read_idx(root / folder / "raw" / f"{name}{suffix}")

    return Images(
        part("train-images-idx3-ubyte")[:, None],
        part("train-labels-idx1-ubyte").astype(np.int64),
        part("t10k-images-idx3-ubyte")[:, None],
        part("t10k-labels-idx1-ubyte").astype(np.int64),
        tuple(classes),
    )


def _unpickle(path: Path) -> dict:
    with path.open("rb") as stream:
        return pickle.load(stream, encoding="latin1")


def read_cifar(
    root: Path, folder: str, train: Sequence[str], test: str, meta: str, kind: str
) -> Images:
    """Return CIFAR-10 (`kind` "labels") or CIFAR-100 ("fine_labels") from its python pickles.

    Only files whose sum has been checked may come here: a pickle can run code.
    """
    batches = [_unpickle(root / folder / name) for name in (*train, test)]
    x = [batch["data"].reshape(-1, 3, 32, 32) for batch in batches]
    y = [np.asarray(batch[kind], dtype=np.int64) for batch in batches]
    names = _unpickle(root / folder / meta)[f"{kind[:-1]}_names"]
    return Images(np.concatenate(x[:-1]), np.concatenate(y[:-1]), x[-1], y[-1], tuple(names))


def read_svhn(root: Path) -> Images:
    """Return SVHN's cropped digits; the file's label 10 stands for the digit 0."""
    from scipy.io import loadmat

    parts = []
    for split in ("train", "test"):
        mat = loadmat(root / f"{split}_32x32.mat")
        parts.append(np.ascontiguousarray(mat["X"].transpose(3, 2, 0, 1)))
        parts.append(mat["y"].astype(np.int64).reshape(-1) % 10)
    return Images(*parts, tuple("0123456789"))  # type: ignore[call-arg, arg-type]  # four parts


def _columns(values: np.ndarray, labels: np.ndarray, features: Sequence[str]) -> Columns:
    """Return a table whose classes are the distinct labels in increasing order."""
    kinds, y = np.unique(labels.astype(np.int64), return_inverse=True)
    return Columns(
        np.ascontiguousarray(values, dtype=np.float32),
        y.astype(np.int64),
        tuple(features),
        tuple(str(kind) for kind in kinds),
    )


def read_abalone(root: Path) -> Columns:
    """Return Abalone: sex as three 0/1 columns, seven measurements; the class is the ring count.

    Lengths are in units of 200 mm and weights in units of 200 g, as in the source.
    """
    rows = [line.split(",") for line in (root / "uci/abalone/abalone.data").read_text().split()]
    sexes = ("M", "F", "I")
    values = [[row[0] == sex for sex in sexes] + [float(v) for v in row[1:-1]] for row in rows]
    names = ("length", "diameter", "height", "whole", "shucked", "viscera", "shell")
    labels = np.array([int(row[-1]) for row in rows])
    return _columns(np.array(values), labels, (*(f"sex {sex}" for sex in sexes), *names))


def read_arrhythmia(root: Path) -> Columns:
    """Return Arrhythmia: 279 columns with missing values as NaN; 13 of the classes 1..16 occur."""
    text = (root / "uci/arrhythmia/arrhythmia.data").read_text().replace("?", "nan")
    table = np.array([line.split(",") for line in text.split()], dtype=np.float64)
    return _columns(table[:, :-1], table[:, -1], [f"a{i + 1}" for i in range(table.shape[1] - 1)])


def read_htru2(root: Path) -> Columns:
    """Return HTRU2: four moments of the pulse profile and of the DM-SNR curve; class 1 = pulsar."""
    table = np.loadtxt(root / "uci/htru2/HTRU_2.csv", delimiter=",", ndmin=2)
    moments = ("mean", "deviation", "kurtosis", "skewness")
    names = [f"{curve} {moment}" for curve in ("profile", "curve") for moment in moments]
    return _columns(table[:, :-1], table[:, -1], names)


def read_phishing(root: Path) -> Columns:
    """Return Phishing Websites: 30 columns of -1, 0, 1; class -1 = phishing, 1 = legitimate."""
    text = (root / "uci/phishing/Training Dataset.arff").read_text()
    header, _, body = text.partition("@data")
    names = [line.split()[1] for line in header.splitlines() if line.startswith("@attribute")]
    table = np.array([line.split(",") for line in body.split()], dtype=np.float64)
    return _columns(table[:, :-1], table[:, -1], names[:-1])
