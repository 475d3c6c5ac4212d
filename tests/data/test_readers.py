from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.io import savemat

from mmlib.data import readers


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_round_trip(tmp_path, write_mnist, suffix):
    arrays = write_mnist(tmp_path, suffix=suffix)
    images = readers.read_mnist(tmp_path, "MNIST", "0123456789", suffix)
    assert np.array_equal(images.x_train[:, 0], arrays["train-images-idx3-ubyte"])
    assert images.y_test.tolist() == [0, 1, 2, 3] and images.y_test.dtype == np.int64
    assert images.classes[7] == "7"


BROKEN = [b"", b"\0\0", b"PK\3\4abcdefgh", b"\0\0\x08\1\0\0\0\5abcd", b"\0\0\x08\3\0"]


@pytest.mark.parametrize("content", BROKEN)
def test_bad_idx_files_are_named(tmp_path, content):
    path = tmp_path / "broken"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="broken"):
        readers.read_idx(path)


def test_cifar_order_of_channels_and_batches(tmp_path):
    folder = tmp_path / "c"
    folder.mkdir()
    x = np.random.default_rng(0).integers(0, 256, (6, 3072), np.uint8)
    for i, name in enumerate(("one", "two", "test")):
        rows = slice(2 * i, 2 * i + 2)
        content = {"data": x[rows], "labels": [i, i + 1]}
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "meta").write_bytes(pickle.dumps({"label_names": ["a", "b", "c", "d"]}))
    images = readers.read_cifar(tmp_path, "c", ["one", "two"], "test", "meta", "labels")
    assert images.y_train.tolist() == [0, 1, 1, 2] and images.y_test.tolist() == [2, 3]
    # Row-major red, green, blue planes.
    assert images.x_train[3, 1, 0, 5] == x[3, 1024 + 5]
    assert images.classes == ("a", "b", "c", "d")


def test_svhn_label_ten_is_the_digit_zero(tmp_path):
    for split in ("train", "test"):
        x = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 4), np.uint8)
        savemat(tmp_path / f"{split}_32x32.mat", {"X": x, "y": np.array([[10], [1], [9], [10]])})
    images = readers.read_svhn(tmp_path)
    assert images.y_train.tolist() == [0, 1, 9, 0]
    assert images.x_test.shape == (4, 3, 32, 32)
    assert images.x_test[2, 1, 3, 4] == x[3, 4, 1, 2]


def put(root, path, text):
    (root / path).parent.mkdir(parents=True)
    (root / path).write_text(text)


def test_abalone(tmp_path):
    line = "0.455,0.365,0.095,0.514,0.2245,0.101,0.15"
    put(tmp_path, "uci/abalone/abalone.data", f"M,{line},15\nI,{line},7\n")
    table = readers.read_abalone(tmp_path)
    assert table.x[:, :4].tolist() == pytest.approx(np.array([[1, 0, 0, 0.455], [0, 0, 1, 0.455]]))
    assert table.y.tolist() == [1, 0] and table.classes == ("7", "15")
    assert len(table.features) == table.x.shape[1] == 10


def test_arrhythmia_missing_values_are_nan(tmp_path):
    put(tmp_path, "uci/arrhythmia/arrhythmia.data", "75,?,1\n60,-3,16\n")
    table = readers.read_arrhythmia(tmp_path)
    assert np.isnan(table.x[0, 1]) and table.x[1, 1] == -3
    assert table.y.tolist() == [0, 1] and table.classes == ("1", "16")


def test_htru2_and_phishing(tmp_path):
    put(tmp_path, "uci/htru2/HTRU_2.csv", "1,2,3,4,5,6,7,8.5,0\n1,2,3,4,5,6,7,8,1\n")
    table = readers.read_htru2(tmp_path)
    assert table.x.shape == (2, 8) and table.y.tolist() == [0, 1] and len(table.features) == 8
    text = "@relation p\n\n@attribute a {-1,1}\n@attribute Result  {-1,1}\n\n@data\n1,-1\n-1,1\n"
    put(tmp_path, "uci/phishing/Training Dataset.arff", text.replace("\n", "\r\n"))
    table = readers.read_phishing(tmp_path)
    assert table.features == ("a",) and table.classes == ("-1", "1") and table.y.tolist() == [0, 1]
