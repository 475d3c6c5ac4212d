"""The sets that live in files: what they are called, their files and sums, how to get them.

Sums are those of the published files; for MNIST and CIFAR they are the ones that torchvision
checks (MNIST's are of the decompressed files).
"""

from __future__ import annotations

import io
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mmlib.data import readers
from mmlib.data.store import STALL_SECONDS, File

Reader = Callable[[Path], readers.Images | readers.Columns]


@dataclass(frozen=True)
class Source:
    """A set in files.

    Attributes:
        title: Name for figures, tables and messages.
        stand_in: Embedded set that is used where this one cannot be had.
        variants: Pairs (files, reader); the first whose files are there is read.
        url: An address of the set, asked first whether it answers.
        download: Fills an empty folder with the files of the first variant.
        mean: Mean of x / 255 per channel as the texts' code prints it; None for tables.
        std: Standard deviation of x / 255 per channel, likewise.
    """

    title: str
    stand_in: str
    variants: tuple[
        tuple[tuple[File, ...], Callable[[Path], readers.Images | readers.Columns]], ...
    ]
    url: str
    download: Callable[[Path], None]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def _torchvision(kind: str, splits: tuple[dict, ...], root: Path) -> None:
    from torchvision import datasets

    for split in splits:
        getattr(datasets, kind)(str(root), download=True, **split)


def _uci(url: str, file: File, root: Path) -> None:
    with urllib.request.urlopen(url, timeout=STALL_SECONDS) as answer:
        archive = zipfile.ZipFile(io.BytesIO(answer.read()))
    target = root / file.path
    target.parent.mkdir(parents=True)
    target.write_bytes(archive.read(target.name))


_IDX = (
    ("train-images-idx3-ubyte", 47_040_016),
    ("train-labels-idx1-ubyte", 60_008),
    ("t10k-images-idx3-ubyte", 7_840_016),
    ("t10k-labels-idx1-ubyte", 10_008),
)
_TRAIN_TEST = ({"train": True}, {"train": False})
_FASHION = (
    "T-shirt or top", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


def _mnist() -> Source:
    sums = (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    )
    files = tuple(
        File(f"MNIST/raw/{name}", size, md5) for (name, size), md5 in zip(_IDX, sums, strict=True)
    )
    return Source(
        "MNIST",
        "digits",
        ((files, partial(readers.read_mnist, folder="MNIST", classes="0123456789")),),
        "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz",
        partial(_torchvision, "MNIST", _TRAIN_TEST),
        (0.1307,),
        (0.3081,),
    )


def _fashion_mnist() -> Source:
    # Published are the sums of the compressed files, which torchvision leaves beside the others.
    packed = (
        (26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        (29_515, "25c81989df183df01b3e8a0aad5dffbe"),
        (4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
        (5_148, "bb300cfdad3c16e7a12a480ee83cd310"),
    )
    folder = "FashionMNIST/raw"
    compressed = tuple(
        File(f"{folder}/{name}.gz", size, md5)
        for (name, _), (size, md5) in zip(_IDX, packed, strict=True)
    )
    plain = tuple(File(f"{folder}/{name}", size, None) for name, size in _IDX)
    read = partial(readers.read_mnist, folder="FashionMNIST", classes=_FASHION)
    return Source(
        "Fashion-MNIST",
        "digits",
        ((compressed, partial(read, suffix=".gz")), (plain, read)),
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz",
        partial(_torchvision, "FashionMNIST", _TRAIN_TEST),
        (0.2860,),
        (0.3530,),
    )


def _cifar(kind: str, title: str, folder: str, files: tuple, labels: str, stats: tuple) -> Source:
    names = [name for name, _, _ in files]
    read = partial(
        readers.read_cifar,
        folder=folder,
        train=names[:-2],
        test=names[-2],
        meta=names[-1],
        kind=labels,
    )
    return Source(
        title,
        "colour_shapes",
        ((tuple(File(f"{folder}/{name}", size, md5) for name, size, md5 in files), read),),
        f"https://www.cs.toronto.edu/~kriz/{kind.lower().replace('r1', 'r-1')}-python.tar.gz",
        partial(_torchvision, kind, _TRAIN_TEST),
        *(tuple(round(value / 255, 4) for value in row) for row in stats),
    )


def _svhn() -> Source:
    files = (
        File("train_32x32.mat", 182_040_794, "e26dedcc434d2e4c54c9b2d4a06d8373"),
        File("test_32x32.mat", 64_275_384, "eb5a983be6a315427106f1b164d9cef3"),
    )
    return Source(
        "SVHN",
        "colour_shapes",
        ((files, readers.read_svhn),),
        "http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
        partial(_torchvision, "SVHN", ({"split": "train"}, {"split": "test"})),
        (0.5, 0.5, 0.5),
        (0.5, 0.5, 0.5),
    )


def _table(
    title: str, stand_in: str, number: int, archive: str, file: File, read: Callable
) -> Source:
    url = f"https://archive.ics.uci.edu/static/public/{number}/{archive}.zip"
    return Source(title, stand_in, (((file,), read),), url, partial(_uci, url, file))


SOURCES: dict[str, Source] = {
    "mnist": _mnist(),
    "fashion_mnist": _fashion_mnist(),
    "cifar10": _cifar(
        "CIFAR10",
        "CIFAR-10",
        "cifar-10-batches-py",
        (
            ("data_batch_1", 31_035_704, "c99cafc152244af753f735de768cd75f"),
            ("data_batch_2", 31_035_320, "d4bba439e000b95fd0a9bffe97cbabec"),
            ("data_batch_3", 31_035_999, "54ebc095f3ab1f0389bbae665268c751"),
            ("data_batch_4", 31_035_696, "634d18415352ddfa80567beed471001a"),
            ("data_batch_5", 31_035_623, "482c414d41f54cd18b22e5b47cb7c3cb"),
            ("test_batch", 31_035_526, "40351d587109b95175f43aff81a1287e"),
            ("batches.meta", 158, "5ff9c542aee3614f3951f8cda6e48888"),
        ),
        "labels",
        ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
    ),
    "cifar100": _cifar(
        "CIFAR100",
        "CIFAR-100",
        "cifar-100-python",
        (
            ("train", 155_249_918, "16019d7e3df5f24257cddd939b257f8d"),
            ("test", 31_049_918, "f0ef6b0ae62326f3e7ffdfab6717acfc"),
            ("meta", 1_499, "7973b15100ade9c7d40fb424638fde48"),
        ),
        "fine_labels",
        ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
    ),
    "svhn": _svhn(),
    "abalone": _table(
        "Abalone",
        "iris",
        1,
        "abalone",
        File(
            "uci/abalone/abalone.data",
            191_873,
            "a769fd0119787cac09158fe08971e480",
            "27d6700f995481b739fe1a392b7d023b",
        ),
        readers.read_abalone,
    ),
    "arrhythmia": _table(
        "Arrhythmia",
        "iris",
        5,
        "arrhythmia",
        File(
            "uci/arrhythmia/arrhythmia.data",
            402_354,
            "9685b64e3f97cdd19685926d21f2504e",
            "ec7b4fdcbcdd600bfd07cc4666b0a864",
        ),
        readers.read_arrhythmia,
    ),
    "htru2": _table(
        "HTRU2",
        "breast_cancer",
        372,
        "htru2",
        File(
            "uci/htru2/HTRU_2.csv",
            1_730_115,
            "883727fd87b29fa19ecd2131de688274",
            "af6cd671b3c7d01a2fb2f58f70da3e01",
        ),
        readers.read_htru2,
    ),
    "phishing": _table(
        "Phishing Websites",
        "breast_cancer",
        327,
        "phishing+websites",
        File(
            "uci/phishing/Training Dataset.arff",
            800_856,
            "87f4f3565965cee01b018495e585a5d0",
            "c07c6ea9000cce2097687a99d3da81ed",
        ),
        readers.read_phishing,
    ),
}
