"""Build the book: ``python book/build.py [--profile quick] [--recompute]``, or ``make book``.

The finished book is ``_build/html/index.html``. Exit status: 0 when every page is current, 1 when a
notebook, a page or a check failed (finished pages are kept), 2 when the build could not start.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from builder.layout import BuildError, Layout, exclusive
from builder.run import build, check_profile


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="quick", help="smoke, quick (default) or paper")
    parser.add_argument("--recompute", action="store_true", help="load no recorded runs")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1])
    options = parser.parse_args(argv)
    layout = Layout(options.root.resolve())
    # The book shows this checkout's code, also where another mmlib is installed or none is.
    sys.path.insert(0, str(layout.root))
    paths = [str(layout.root), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    start = time.perf_counter()
    try:
        check_profile(options.profile)
        with exclusive(layout):
            failures = build(layout, profile=options.profile, recompute=options.recompute)
    except BuildError as error:
        print(f"book: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"book: {error}\nbook: stopped by the disk or its permissions; finished pages are "
            "kept. Free space or make the file writable, then build again",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("\nbook: interrupted; finished pages are kept", file=sys.stderr)
        return 130
    seconds = time.perf_counter() - start
    if failures:
        print(f"\nThe book is NOT complete ({seconds:.0f} s):", file=sys.stderr)
        for failure in failures:
            print(f"  - {failure}", file=sys.stderr)
        return 1
    print(f"book: {layout.html / 'index.html'} ({seconds:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
