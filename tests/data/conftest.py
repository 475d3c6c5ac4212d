"""No test here reads the user's folders or asks a network."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from mmlib.data import store


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """An empty MMLIB_DATA, an empty cache, and no network; gives the folder of MMLIB_DATA."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("MMLIB_DATA", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MMLIB_OFFLINE", "1")
    monkeypatch.setattr(store, "_refused", {})
    return folder


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def write_mnist():
    """A function that writes a few random images in MNIST's format, and returns the arrays."""

    def write(root, folder="MNIST", suffix="", n_train=6, n_test=4) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(0)
        raw = root / folder / "raw"
        raw.mkdir(parents=True)
        arrays = {}
        for name, n in (("train", n_train), ("t10k", n_test)):
            arrays[f"{name}-images-idx3-ubyte"] = rng.integers(0, 256, (n, 28, 28), np.uint8)
            arrays[f"{name}-labels-idx1-ubyte"] = (np.arange(n) % 10).astype(np.uint8)
        for name, array in arrays.items():
            content = gzip.compress(idx(array)) if suffix else idx(array)
            (raw / f"{name}{suffix}").write_bytes(content)
        return arrays

    return write
