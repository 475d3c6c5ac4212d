"""Arrays beside records: small, named by content, never pickled."""

from __future__ import annotations

import numpy as np
import pytest

from mmlib.evidence import artifacts


def test_arrays_come_back_and_are_named_by_content(results):
    arrays = {"curve": np.arange(5, dtype=np.float16), "b": np.eye(2)}
    name, packed = artifacts.pack("key", arrays)
    assert artifacts.pack("key", dict(reversed(arrays.items()))) == (name, packed)
    assert artifacts.pack("key", {"curve": np.arange(6)})[0] != name
    artifacts.write(results / name, packed)
    assert [path.name for path in results.iterdir()] == [name]
    back = artifacts.read(results / name)
    assert back["curve"].dtype == np.float16 and np.array_equal(back["b"], np.eye(2))
    with np.load(results / name) as file:
        assert np.array_equal(file["curve"], arrays["curve"])


def test_large_arrays_and_objects_are_refused_by_name():
    noise = np.random.default_rng(0).random(200_000)
    with pytest.raises(ValueError, match=r"at most 1 MB compressed, but got 1\.\d+ MB \(noise"):
        artifacts.pack("key", {"noise": noise})
    with pytest.raises(ValueError, match="arrays of run key: expected numbers, but 'odd' holds"):
        artifacts.pack("key", {"odd": np.array([{}])})


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign"])
def test_a_damaged_file_is_named(results, damage):
    name, packed = artifacts.pack("key", {"curve": np.arange(100.0)})
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 1
    foreign = artifacts.pack("key", {"curve": np.arange(99.0)})[1]
    contents = {"truncated": packed[:-9], "flipped": flipped, "empty": b"", "foreign": foreign}
    artifacts.write(results / name, bytes(contents[damage]))
    with pytest.raises(ValueError, match=f"{name}: damaged arrays"):
        artifacts.read(results / name)
