from __future__ import annotations

import builtins
import gzip
import hashlib
import http.server
import io
import threading
import warnings
import zipfile
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from mmlib import data
from mmlib.data import embedded, sources, store
from mmlib.data.store import File

EMBEDDED = ("digits", "iris", "breast_cancer", "colour_shapes")
FILES = tuple(sources.SOURCES)


def with_sums_of(source, root):
    """Return the source with the sums of the files below `root` as the published ones."""
    variants = []
    for files, read in source.variants:
        found = []
        for file in files:
            if (root / file.path).is_file():
                content = (root / file.path).read_bytes()
                file = File(file.path, len(content), hashlib.md5(content).hexdigest())
            found.append(file)
        variants.append((tuple(found), read))
    return replace(source, variants=tuple(variants))


@pytest.fixture
def tiny_mnist(nowhere, write_mnist, monkeypatch):
    """An MNIST of six and four images in MMLIB_DATA; gives the arrays of its files."""
    arrays = write_mnist(nowhere)
    monkeypatch.setitem(sources.SOURCES, "mnist", with_sums_of(sources.SOURCES["mnist"], nowhere))
    return arrays


def test_names_are_unique_and_every_stand_in_is_embedded_and_of_the_same_kind(nowhere):
    assert len(set(data.names())) == len(data.names()) == len(FILES) + len(EMBEDDED)
    for name in FILES:
        stand_in = sources.SOURCES[name].stand_in
        assert stand_in in EMBEDDED
        kind = data.Dataset if sources.SOURCES[name].mean else data.Table
        assert isinstance(data.load(stand_in), kind)


@pytest.mark.parametrize("ask", [data.load, data.available, data.resolve, data.fingerprint])
def test_unknown_name(ask):
    with pytest.raises(ValueError, match=r"did you mean 'mnist'|did you mean 'fashion_mnist'"):
        ask("minst")


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_sets_need_no_files(nowhere, name):
    assert data.available(name) and data.resolve(name) == name
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = data.load(name, fallback=False)
    assert not caught
    assert loaded.embedded and loaded.name == loaded.asked == name
    assert data.fingerprint(name) == loaded.fingerprint == data.load(name).fingerprint


@pytest.mark.parametrize("name", ["digits", "colour_shapes"])
def test_embedded_images(name):
    images = data.load(name)
    assert images.x_train.dtype == images.x_test.dtype == torch.uint8
    assert images.y_train.dtype == torch.int64
    assert images.y_train.unique().tolist() == list(range(10))
    z = images.inputs(images.x_train).double()
    assert torch.allclose(z.mean((0, 2, 3)), torch.zeros(1).double(), atol=1e-3)
    assert torch.allclose(z.std((0, 2, 3)), torch.ones(1).double(), atol=1e-3)


def test_what_is_done_to_a_loaded_set_does_not_reach_the_next():
    before = data.load("colour_shapes")
    expected = before.x_train[0].clone()
    before.x_train.zero_()
    assert torch.equal(data.load("colour_shapes").x_train[0], expected)


@pytest.mark.parametrize("name", FILES)
def test_stand_in_is_labelled(nowhere, name):
    source = sources.SOURCES[name]
    assert not data.available(name)
    assert data.resolve(name) == source.stand_in
    with pytest.warns(data.StandInWarning, match=f"in place of {source.title}.*MMLIB_OFFLINE"):
        loaded = data.load(name)
    assert (loaded.name, loaded.asked, loaded.embedded) == (source.stand_in, name, True)
    assert source.title in loaded.note and loaded.title != source.title
    assert loaded.fingerprint == data.fingerprint(name) == data.fingerprint(source.stand_in)


def test_without_fallback_one_error(nowhere):
    with pytest.raises(data.DataNotFoundError, match="MNIST is neither in MMLIB_DATA nor in"):
        data.load("mnist", fallback=False)
    with pytest.raises(FileNotFoundError, match="not looked for"):
        data.load("mnist", fallback=False, download=False)


def test_a_missing_folder_is_not_covered_by_the_stand_in(nowhere, monkeypatch):
    monkeypatch.setenv("MMLIB_DATA", str(nowhere / "typo"))
    for ask in (data.load, data.resolve, data.available, data.fingerprint):
        with pytest.raises(data.DataNotFoundError, match="MMLIB_DATA.*typo"):
            ask("mnist")


def test_files_are_loaded(tiny_mnist, nowhere):
    assert data.available("mnist") and data.resolve("mnist") == "mnist"
    mnist = data.load("mnist", fallback=False)
    assert (mnist.name, mnist.asked, mnist.title, mnist.embedded) == (
        "mnist",
        "mnist",
        "MNIST",
        False,
    )
    assert mnist.x_train.shape == (6, 1, 28, 28) and mnist.image_size == 28
    expected = tiny_mnist["train-images-idx3-ubyte"]
    assert np.array_equal(mnist.x_train[:, 0].numpy(), expected)
    assert (mnist.mean, mnist.std) == ((0.1307,), (0.3081,))
    assert str(nowhere) in mnist.note
    assert data.fingerprint("mnist") == mnist.fingerprint != data.fingerprint("digits")


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "folder"])
def test_a_damaged_file_is_an_error_in_spite_of_the_stand_in(tiny_mnist, nowhere, damage):
    path = nowhere / "MNIST/raw/t10k-labels-idx1-ubyte"
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        changed = {"truncate": content[:-1], "flip": content[:-1] + b"\x07", "empty": b""}
        path.write_bytes(changed[damage])
    for ask in (data.load, data.fingerprint):
        with pytest.raises(data.DataDamagedError, match="t10k-labels-idx1-ubyte"):
            ask("mnist")


def test_half_a_set_is_an_error_in_spite_of_the_stand_in(tiny_mnist, nowhere):
    (nowhere / "MNIST/raw/train-images-idx3-ubyte").unlink()
    assert not data.available("mnist")
    for ask in (data.load, data.resolve, data.fingerprint):
        with pytest.raises(data.DataDamagedError, match="incomplete: .*train-images"):
            ask("mnist")
    row = next(row for row in data.describe() if row["name"] == "mnist")
    assert row["status"] == "damaged" and "train-images" in row["where"]


def test_a_sum_that_fits_contents_that_do_not(tiny_mnist, nowhere, monkeypatch):
    path = nowhere / "MNIST/raw/t10k-labels-idx1-ubyte"
    path.write_bytes(b"not an idx file")
    source = with_sums_of(sources.SOURCES["mnist"], nowhere)
    monkeypatch.setitem(sources.SOURCES, "mnist", source)
    with pytest.raises(data.DataDamagedError, match="not an idx file"):
        data.load("mnist")


@pytest.mark.parametrize("suffix", [".gz", ""])
def test_fashion_mnist_compressed_or_not(nowhere, write_mnist, monkeypatch, suffix):
    arrays = write_mnist(nowhere, "FashionMNIST", suffix)
    monkeypatch.setitem(
        sources.SOURCES, "fashion_mnist", with_sums_of(sources.SOURCES["fashion_mnist"], nowhere)
    )
    fashion = data.load("fashion_mnist", fallback=False)
    assert np.array_equal(fashion.x_test[:, 0].numpy(), arrays["t10k-images-idx3-ubyte"])
    assert fashion.classes[9] == "ankle boot"


def test_without_scikit_learn(nowhere, monkeypatch):
    genuine = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return genuine(name, *args, **kwargs)

    embedded.digits.cache_clear()
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(data.DataError, match="digits.*scikit-learn, which is not installed"):
        data.load("digits")
    with pytest.raises(data.DataError, match="MNIST is neither.*scikit-learn, which is not"):
        data.load("mnist")


def test_describe_lists_everything_and_downloads_nothing(nowhere, monkeypatch):
    monkeypatch.setenv("MMLIB_OFFLINE", "0")
    monkeypatch.setattr(store, "_probe", lambda url: pytest.fail("asked the network"))
    rows = data.describe()
    assert [row["name"] for row in rows] == list(data.names())
    assert {row["status"] for row in rows} == {"missing", "embedded"}
    monkeypatch.setenv("MMLIB_DATA", str(nowhere / "typo"))
    assert "MMLIB_DATA" in data.describe()[0]["where"]


class Files(http.server.BaseHTTPRequestHandler):
    """Serves a dictionary of contents."""

    def __init__(self, contents, *args):
        self.contents = contents
        super().__init__(*args)

    def do_GET(self):
        content = self.contents.get(self.path)
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *args):
        pass


@pytest.fixture
def serve(nowhere, monkeypatch):
    """A function that serves contents by path from this machine, and gives the address."""
    monkeypatch.setenv("MMLIB_OFFLINE", "")
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    running = []

    def start(contents):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, contents))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def test_mnist_is_downloaded_through_torchvision(serve, tmp_path, write_mnist, monkeypatch, capsys):
    from torchvision import datasets

    origin = tmp_path / "origin"
    arrays = write_mnist(origin)
    folder = origin / "MNIST/raw"
    packed = {f"/{path.name}.gz": gzip.compress(path.read_bytes()) for path in folder.iterdir()}
    url = serve(packed)
    sums = [(name[1:], hashlib.md5(content).hexdigest()) for name, content in packed.items()]
    monkeypatch.setattr(datasets.MNIST, "mirrors", [f"{url}/"])
    monkeypatch.setattr(datasets.MNIST, "resources", sums)
    source = with_sums_of(sources.SOURCES["mnist"], origin)
    source = replace(source, url=f"{url}/train-labels-idx1-ubyte.gz")
    monkeypatch.setitem(sources.SOURCES, "mnist", source)
    assert not data.available("mnist")
    mnist = data.load("mnist", fallback=False)
    assert np.array_equal(mnist.x_train[:, 0].numpy(), arrays["train-images-idx3-ubyte"])
    assert data.available("mnist") and str(data.cache_root()) in mnist.note


def test_a_table_is_downloaded_from_its_archive(serve, monkeypatch):
    text = (
        b"140.5,55.6,-0.2,-0.6,3.1,19.1,7.9,74.2,0\r\n102.5,58.8,0.4,-0.5,1.6,14.8,10.5,127.3,1\r\n"
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("HTRU_2.csv", text)
    url = serve({"/htru2.zip": packed.getvalue()}) + "/htru2.zip"
    genuine = sources.SOURCES["htru2"]
    file = File("uci/htru2/HTRU_2.csv", len(text), hashlib.md5(text).hexdigest())
    source = replace(
        genuine,
        variants=(((file,), genuine.variants[0][1]),),
        url=url,
        download=partial(sources._uci, url, file),
    )
    monkeypatch.setitem(sources.SOURCES, "htru2", source)
    table = data.load("htru2", fallback=False)
    assert table.x.shape == (2, 8) and table.y.tolist() == [0, 1]
    assert data.resolve("htru2", download=False) == "htru2"


def test_an_archive_with_other_contents_is_refused(serve, monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("HTRU_2.csv", b"1,2\n")
    url = serve({"/htru2.zip": packed.getvalue()}) + "/htru2.zip"
    file = sources.SOURCES["htru2"].variants[0][0][0]
    source = replace(sources.SOURCES["htru2"], url=url, download=partial(sources._uci, url, file))
    monkeypatch.setitem(sources.SOURCES, "htru2", source)
    with pytest.raises(data.DataNotFoundError, match="truncated or altered"):
        data.load("htru2", fallback=False)


real = pytest.mark.skipif(
    not (data.available("mnist") and data.available("cifar10")), reason="needs the real files"
)


@real
def test_real_mnist():
    mnist = data.load("mnist")
    expected = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert mnist.y_train.bincount().tolist() == expected
    assert mnist.x_test.shape == (10000, 1, 28, 28)
    z = mnist.inputs(mnist.x_train)
    assert abs(float(z.mean())) < 1e-3 and abs(float(z.std()) - 1) < 1e-3


@real
def test_real_cifar10():
    cifar = data.load("cifar10")
    assert cifar.x_train.shape == (50000, 3, 32, 32) and cifar.classes[6] == "frog"
    assert cifar.y_train.bincount().tolist() == [5000] * 10
    assert torch.allclose(cifar.x_train[:2000].float().mean() / 255, torch.tensor(0.474), atol=0.01)


@pytest.mark.skipif(not data.available("arrhythmia"), reason="needs the real files")
@pytest.mark.parametrize(
    ("name", "shape", "classes", "missing"),
    [
        ("abalone", (4177, 10), 28, 0),
        ("arrhythmia", (452, 279), 13, 408),
        ("htru2", (17898, 8), 2, 0),
        ("phishing", (11055, 30), 2, 0),
    ],
)
def test_real_tables(name, shape, classes, missing):
    table = data.load(name)
    assert table.x.shape == shape and table.num_classes == classes
    assert len(table.features) == shape[1]
    assert int(table.x.isnan().sum()) == missing
    assert all(part.isfinite().all() for part in table.split()[::2])
