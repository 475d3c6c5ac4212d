"""The ledger and the records from the command line.

python -m mmlib.evidence            counts per chapter and the verdicts
python -m mmlib.evidence --json     the ledger as a JSON array, one object per claim and line
python -m mmlib.evidence --csv      the ledger as CSV, one claim a row
python -m mmlib.evidence --runs     recorded runs per study and profile
python -m mmlib.evidence --stale    runs made by earlier code, which no table uses
python -m mmlib.evidence --record STUDY --profile quick    compute what is missing of all its seeds
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from mmlib.evidence import records
from mmlib.evidence.cluster import ClusterError
from mmlib.evidence.ledgers import as_csv, as_json, ledger, studies, summary
from mmlib.evidence.profiles import PROFILES
from mmlib.evidence.study import Study, StudyError


def _lines(counts: Counter) -> str:
    return "\n".join(f"{count:>6}  {'  '.join(key)}" for key, count in sorted(counts.items()))


def recorded(known: dict[str, Study]) -> tuple[Counter, Counter]:
    """Count the runs of the present code and of earlier code, over all results files.

    The keys are (profile, study, data, device) and (profile, study, code, commit).
    """
    root = records.results_root()
    if root.exists() and not root.is_dir():
        raise NotADirectoryError(f"{root}: expected a folder; set MMLIB_RESULTS to one")
    codes = {name: study.code for name, study in known.items()}
    current: Counter = Counter()
    stale: Counter = Counter()
    for profile in PROFILES:
        for path in sorted((root / profile).glob("*.jsonl")):
            for row in records.read(path):
                name = row["study"]
                if row["code"] == codes.get(name):
                    data = row["data"]["name"] or "no data"
                    current[profile, name, data, row.get("device", "?")] += 1
                else:
                    gone = "" if name in codes else " (no such study)"
                    made = f"{row.get('commit') or '?'}{' + changes' if row.get('dirty') else ''}"
                    stale[profile, name + gone, f"code {row['code']}", f"commit {made}"] += 1
    return current, stale


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m mmlib.evidence", description="The claims, their verdicts and their runs."
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--json", action="store_true", help="the ledger as a JSON array")
    what.add_argument("--csv", action="store_true", help="the ledger as CSV")
    what.add_argument("--runs", action="store_true", help="recorded runs per study and profile")
    what.add_argument("--stale", action="store_true", help="runs made by earlier code")
    what.add_argument("--record", metavar="STUDY", help="compute the missing runs of a study")
    parser.add_argument("--profile", choices=tuple(PROFILES), default="quick")
    parser.add_argument("--jobs", type=int, help="processes for --record (default: all cores)")
    parser.add_argument("--device", default="cpu", help="device for --record")
    parser.add_argument("--cluster", help="address of the Dask scheduler for --record")
    options = parser.parse_args(arguments)
    try:
        return _answer(options)
    except OSError as error:  # results that are there and cannot be read
        print(error, file=sys.stderr)
        return 1


def _answer(options: argparse.Namespace) -> int:
    known = studies()
    if options.record:
        return _record(known, options)
    if options.runs or options.stale:
        current, stale = recorded(known)
        counts = stale if options.stale else current
        print(_lines(counts) if counts else "none")
        return 0
    rows = ledger(known)
    if options.json or options.csv:
        sys.stdout.write(as_json(rows) if options.json else as_csv(rows))
    else:
        print(summary(rows))
    return 0


def _record(known: dict[str, Study], options: argparse.Namespace) -> int:
    if options.record not in known:
        print(f"--record: expected one of {', '.join(known)}, but got {options.record!r}")
        return 2
    study = known[options.record]
    try:
        runs = study.collect(
            options.profile,
            n_seeds=study.seeds[options.profile],
            n_jobs=options.jobs,
            device=options.device,
            cluster=options.cluster,
        )
    except (StudyError, ClusterError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(runs.summary())
    return 0


if __name__ == "__main__":
    sys.exit(main())
