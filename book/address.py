"""Write the repository's address: ``python book/address.py https://github.com/OWNER/NAME``.

Its one place is `repository.url` in `_config.yml`; from there the builder takes the buttons for
Colab, Binder, issues and source. A notebook that Colab opens comes alone, and a citation is read
alone, so this command repeats the address in the first code cell of each notebook and in
`CITATION.cff`. Without an argument it repeats the address that `_config.yml` has; with ``""`` it
takes the address away. Run twice, it changes nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
VALID = re.compile(r"https://github\.com/[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
CELL_ID = "install"
CELL = """\
# Where mmlib is missing, as on Colab, it is fetched with its recorded runs; else nothing happens.
import importlib.util
import os
import subprocess
import sys

if "{address}" and importlib.util.find_spec("mmlib") is None:
    subprocess.run(["git", "clone", "-q", "--depth=1", "{address}", "mmlib-book"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-e", "mmlib-book", "myst-nb",
                    "scikit-learn"], check=True)
    sys.path.insert(0, os.path.abspath("mmlib-book"))"""


def checked(address: str) -> str:
    """Return an address without what may follow it; Colab and Binder open GitHub's.

    Raises:
        ValueError: it is no address of a repository there.

    Example:
        >>> checked("https://github.com/someone/mixing.git/")
        'https://github.com/someone/mixing'
        >>> checked("github.com/someone")
        Traceback (most recent call last):
        ValueError: address: expected https://github.com/OWNER/NAME, but got 'github.com/someone'
    """
    bare = address.strip().rstrip("/").removesuffix(".git")
    if bare and not VALID.fullmatch(bare):
        raise ValueError(f"address: expected https://github.com/OWNER/NAME, but got {address!r}")
    return bare


def install_cell(address: str) -> dict:
    """Return the first code cell of a notebook; built pages leave it out."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": CELL_ID,
        "metadata": {"tags": ["remove-cell"]},
        "outputs": [],
        "source": CELL.format(address=address).splitlines(keepends=True),
    }


def written(text: str, address: str) -> str:
    """Return the notebook with its install cell, behind the title."""
    notebook = json.loads(text)
    cells = [cell for cell in notebook["cells"] if cell.get("id") != CELL_ID]
    notebook["cells"] = [cells[0], install_cell(address), *cells[1:]]
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def cited(text: str, address: str) -> str:
    """Return the citation file with the address, or without any."""
    text = re.sub(r"^repository-code:.*\n", "", text, flags=re.M)
    line = f'repository-code: "{address}"\n' if address else ""
    return re.sub(r"^(type: .*\n)", rf"\1{line}", text, count=1, flags=re.M)


def write(root: Path, address: str | None = None) -> list[Path]:
    """Write the address wherever it stands; return the files that changed.

    Args:
        root: the checkout.
        address: None for that of its ``_config.yml``.

    Raises:
        ValueError: the address is malformed, or ``_config.yml`` has no place for it.
    """
    config = root / "_config.yml"
    text = config.read_text(encoding="utf-8")
    if address is None:
        address = yaml.safe_load(text)["repository"]["url"] or ""
    address = checked(address)
    place = re.compile(r'^(repository:\n(?:[ \t]+.*\n)*?[ \t]+url:) *"[^"\n]*"', re.M)
    if not place.search(text):
        raise ValueError(f'{config}: expected repository: with url: "", but found none')
    wanted = {config: place.sub(rf'\1 "{address}"', text)}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        wanted[path] = written(path.read_text(encoding="utf-8"), address)
    citation = root / "CITATION.cff"
    if citation.is_file():
        wanted[citation] = cited(citation.read_text(encoding="utf-8"), address)
    changed = [path for path, text in wanted.items() if path.read_text(encoding="utf-8") != text]
    for path in changed:
        path.write_text(wanted[path], encoding="utf-8")
    return changed


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", nargs="?", help="none: repeat that of _config.yml")
    parser.add_argument("--root", type=Path, default=ROOT)
    options = parser.parse_args(argv)
    try:
        changed = write(options.root.resolve(), options.address)
    except ValueError as error:
        print(f"book: {error}", file=sys.stderr)
        return 2
    print("book: " + (", ".join(path.name for path in changed) or "every address is current"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
