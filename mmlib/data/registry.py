"""One registry: ask for a set by its name, get the set or a labelled stand-in."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmlib.checks import boolean, choice
from mmlib.data.dataset import Dataset, Table, _digest
from mmlib.data.embedded import EMBEDDED
from mmlib.data.readers import Columns, Images
from mmlib.data.sources import SOURCES, Source
from mmlib.data.store import (
    DATA_VARIABLE,
    DataDamagedError,
    DataError,
    DataNotFoundError,
    File,
    StandInWarning,
    cache_root,
    fetch,
    locate,
    verify,
)


def names() -> tuple[str, ...]:
    """Return the names of all sets, those in files first.

    Example:
        >>> names()[:3]
        ('mnist', 'fashion_mnist', 'cifar10')
    """
    return (*SOURCES, *EMBEDDED)


def _place(source: Source) -> tuple[Path, int] | None:
    """Return the root that has the files of a set and the number of the variant, or None."""
    for number, (files, _) in enumerate(source.variants):
        if (root := locate(source.title, files)) is not None:
            return root, number
    return None


def _find(name: str, download: bool, fallback: bool) -> tuple[str, str]:
    """Return the name of the set that is used, and why it is not the one asked for."""
    choice("name", name, names())
    boolean("fallback", fallback)
    if name in EMBEDDED:
        return name, ""
    source = SOURCES[name]
    if _place(source) is not None:
        return name, ""
    reason = "not looked for"
    if boolean("download", download):
        reason = fetch(source.url, source.variants[0][0], source.download)
        if not reason:
            return name, ""
    why = (
        f"{source.title} is neither in {DATA_VARIABLE} nor in {cache_root()}, "
        f"and could not be downloaded ({reason})"
    )
    if not fallback:
        raise DataNotFoundError(why)
    return source.stand_in, why


def _checked(name: str) -> tuple[Path, int, list[str]]:
    """Return root, variant and sums of a set whose files are there and are the published ones."""
    source = SOURCES[name]
    place = _place(source)
    if place is None:
        raise DataNotFoundError(f"{source.title}: its files have disappeared")
    root, number = place
    # The published sum stands for a file that is equal to it up to line ends.
    sums = [file.md5 or found for file, found in _sums(root, source.variants[number][0])]
    return root, number, sums


def _sums(root: Path, files: tuple[File, ...]) -> list[tuple[File, str]]:
    return [(file, verify(root, file)) for file in files]


def _contents(name: str) -> tuple[Images | Columns, str, str]:
    """Return the arrays of a set, its fingerprint, and where it came from."""
    if name in EMBEDDED:
        arrays = EMBEDDED[name].make()
        return arrays, _embedded_fingerprint(name, arrays), f"from {EMBEDDED[name].origin}"
    root, number, sums = _checked(name)
    try:
        arrays = SOURCES[name].variants[number][1](root)
    except (OSError, ValueError, EOFError) as error:
        raise DataDamagedError(f"{SOURCES[name].title} in {root}: {error}") from error
    return arrays, _digest(name, *sums), f"from {root}"


def _embedded_fingerprint(name: str, arrays: Images | Columns) -> str:
    parts = [part.tobytes() for part in arrays if isinstance(part, np.ndarray)]
    return _digest(name, *parts)


def load(
    name: str, *, device: str | torch.device = "cpu", fallback: bool = True, download: bool = True
) -> Dataset | Table:
    """Load a set onto a device: from ``MMLIB_DATA``, the user's cache, or a download.

    Where none of the three has the set, an embedded one stands in for it (scikit-learn's digits
    for grey images, coloured shapes for colour images, Iris or Breast cancer for tables). The
    result then carries the name of the stand-in, and a warning names both.

    Args:
        name: One of `names()`.
        device: Where the tensors live.
        fallback: Allow the stand-in.
        download: Allow a download into the user's cache (``MMLIB_OFFLINE=1`` forbids it).

    Returns:
        A `Dataset` for images, a `Table` for tables.

    Raises:
        ValueError: `name` is not in the registry.
        DataNotFoundError: The set cannot be had and `fallback` is False, or ``MMLIB_DATA`` names
            a folder that does not exist.
        DataDamagedError: A file is truncated, altered or missing from its set; files that are
            there but wrong are never replaced by a stand-in.
        DataError: The set needs scikit-learn, which is not installed.

    Warns:
        StandInWarning: A stand-in is used.

    Example:
        >>> digits = load("digits")
        >>> digits.x_train.shape, digits.x_test.shape
        (torch.Size([1442, 1, 8, 8]), torch.Size([355, 1, 8, 8]))
        >>> load("minst")
        Traceback (most recent call last):
        ValueError: name: expected one of 'mnist', ... (did you mean 'mnist'?)
    """
    used, why = _find(name, download, fallback)
    try:
        arrays, fingerprint_, origin = _contents(used)
    except DataError as error:
        raise type(error)(f"{why}; {error}" if why else str(error)) from error
    title = title_of(used)
    note = f"{title}, {origin}"
    if why:
        note = f"{title} in place of {title_of(name)}: {why}"
        warnings.warn(f"using {note}", StandInWarning, stacklevel=2)
    kind = _images if isinstance(arrays, Images) else _columns
    about = dict(name=used, asked=name, title=title, embedded=used in EMBEDDED)
    return kind(arrays, torch.device(device), fingerprint=fingerprint_, note=note, **about)  # type: ignore[arg-type]


def _images(arrays: Images, device: torch.device, **about: Any) -> Dataset:
    source = SOURCES.get(about["name"])
    if source is not None:
        mean, std = source.mean, source.std
    else:
        values = arrays.x_train.astype(np.float64) / 255
        mean = tuple(round(float(m), 4) for m in values.mean((0, 2, 3)))
        std = tuple(round(float(s), 4) for s in values.std((0, 2, 3)))
    # A copy: embedded arrays are kept for the next call and must not change under it.
    x_train, y_train, x_test, y_test = (
        torch.from_numpy(np.array(part)).to(device) for part in arrays[:4]
    )
    return Dataset(
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        classes=arrays.classes,
        mean=mean,  # type: ignore[arg-type]
        std=std,  # type: ignore[arg-type]
        **about,
    )


def _columns(arrays: Columns, device: torch.device, **about: Any) -> Table:
    x, y = (torch.from_numpy(np.array(part)).to(device) for part in arrays[:2])
    return Table(x=x, y=y, features=arrays.features, classes=arrays.classes, **about)


def title_of(name: str) -> str:
    """Return the name of a set for figures and tables.

    Example:
        >>> title_of("cifar10")
        'CIFAR-10'
    """
    choice("name", name, names())
    return SOURCES[name].title if name in SOURCES else EMBEDDED[name].title


def available(name: str) -> bool:
    """Return whether a set can be loaded without a download and without a stand-in.

    Files are looked for, not read: a damaged file is reported by `load`.

    Raises:
        ValueError: `name` is not in the registry.
        DataNotFoundError: ``MMLIB_DATA`` names a folder that does not exist.

    Example:
        >>> available("colour_shapes")
        True
    """
    choice("name", name, names())
    if name in EMBEDDED:
        return EMBEDDED[name].origin == "mmlib" or find_spec("sklearn") is not None
    try:
        return _place(SOURCES[name]) is not None
    except DataDamagedError:
        return False


def resolve(name: str, *, download: bool = True) -> str:
    """Return the name of the set that `load` would give: the set itself, or its stand-in.

    Args:
        name: One of `names()`.
        download: Allow a download, as `load` does; without it only the folders are looked at.

    Raises:
        ValueError: `name` is not in the registry.
        DataNotFoundError: ``MMLIB_DATA`` names a folder that does not exist.
        DataDamagedError: Some files of the set are there and some are missing.

    Example:
        >>> resolve("iris")
        'iris'
    """
    return _find(name, download, True)[0]


def fingerprint(name: str, *, download: bool = True) -> str:
    """Return the fingerprint of the set that `load` would give, without loading it.

    It is a hash of the name and of the contents: the sums of the files, which are checked, or
    the bytes of an embedded set.

    Raises:
        DataError: As for `load`.

    Example:
        >>> fingerprint("digits") == load("digits").fingerprint
        True
    """
    used = resolve(name, download=download)
    if used in EMBEDDED:
        return _embedded_fingerprint(used, EMBEDDED[used].make())
    return _digest(used, *_checked(used)[2])


def describe() -> list[dict[str, str]]:
    """Return one row per set for a status table; nothing is downloaded or read.

    Returns:
        Dictionaries with the keys ``name``, ``title``, ``status`` ("found", "embedded",
        "missing", "damaged"), ``where`` (folder, package, or the stand-in) and ``size`` (MB).

    Example:
        >>> [row["status"] for row in describe() if row["name"] == "colour_shapes"]
        ['embedded']
    """
    rows = []
    for name in names():
        where, size = "", ""
        if name in EMBEDDED:
            status = "embedded" if available(name) else "missing"
            where = EMBEDDED[name].origin
        else:
            status, where, size = _status(SOURCES[name])
        rows.append(dict(name=name, title=title_of(name), status=status, where=where, size=size))
    return rows


def _status(source: Source) -> tuple[str, str, str]:
    size = f"{sum(file.size for file in source.variants[0][0]) / 1e6:.1f} MB"
    try:
        place = _place(source)
    except DataError as error:
        return "damaged" if isinstance(error, DataDamagedError) else "missing", str(error), size
    if place is None:
        return "missing", f"stand-in: {source.stand_in}", size
    root, number = place
    for file in source.variants[number][0]:
        if (root / file.path).stat().st_size != file.size and file.text_md5 is None:
            return "damaged", f"{root / file.path} has another size", size
    return "found", str(root), size
