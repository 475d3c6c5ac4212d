"""Write the built book as one file and print it: ``python book/offline.py``, after ``make book``.

Makes ``_build/manifold-mixup-tested.html`` and, with Chromium, ``.pdf``; both are copied to the
built site, whose first page then links them. Exit status: 0 when both were made, 1 when only the
one file could be, 2 when the book is not built.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from builder import offline
from builder.layout import BuildError, Layout, exclusive


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-pdf", action="store_true", help="only the one file")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1])
    options = parser.parse_args(argv)
    layout = Layout(options.root.resolve())
    page, pdf = (layout.build / f"{offline.NAME}{suffix}" for suffix in (".html", ".pdf"))
    start = time.perf_counter()
    missing = ""
    try:
        with exclusive(layout):
            page.write_text(offline.one_file(layout), encoding="utf-8")
            made = [page]
            if not options.no_pdf:
                try:
                    offline.print_pdf(page, pdf)
                    made.append(pdf)
                except BuildError as error:
                    missing = str(error)
            offline.publish(layout, made)
    except BuildError as error:
        print(f"book: {error}", file=sys.stderr)
        return 2
    for path in made:
        print(f"book: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    if missing:
        print(f"book: {missing}", file=sys.stderr)
        return 1
    print(f"book: {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
