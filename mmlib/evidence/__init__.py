"""Evidence: profiles, published numbers, claims, records of runs, verdicts, provenance.

A study (`Study`) is a function, a grid and seeds; `Study.collect` loads the runs that are recorded
for the same settings, data and code, and computes the rest. `judge` turns the runs into a verdict
by the rule written down for the claim, and `ledger` does so for all claims from the records alone.
"""

from mmlib.evidence import allow
from mmlib.evidence.cluster import ClusterError
from mmlib.evidence.findings import (
    components,
    equivalent,
    errors,
    exact,
    paired,
    per_seed,
    sample,
)
from mmlib.evidence.fingerprint import code_fingerprint, module_files
from mmlib.evidence.footer import Provenance, provenance
from mmlib.evidence.ledgers import ledger
from mmlib.evidence.notebooks import ParameterError, parameters
from mmlib.evidence.profiles import PROFILES, Profile
from mmlib.evidence.records import RecordWarning, results_root
from mmlib.evidence.recount import recount
from mmlib.evidence.rulebook import Rule, rules
from mmlib.evidence.runs import Runs
from mmlib.evidence.study import Study, StudyError
from mmlib.evidence.tables import claims, differences, items, published, scalars, settings
from mmlib.evidence.verdicts import Verdict, expected_false, judge

__all__ = [
    "ClusterError",
    "PROFILES",
    "ParameterError",
    "Profile",
    "Provenance",
    "RecordWarning",
    "Rule",
    "Runs",
    "Study",
    "StudyError",
    "Verdict",
    "allow",
    "claims",
    "code_fingerprint",
    "components",
    "differences",
    "equivalent",
    "errors",
    "exact",
    "expected_false",
    "items",
    "judge",
    "ledger",
    "module_files",
    "paired",
    "parameters",
    "per_seed",
    "provenance",
    "published",
    "recount",
    "results_root",
    "rules",
    "sample",
    "scalars",
    "settings",
]
