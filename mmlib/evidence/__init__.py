"""Evidence: profiles, published numbers, claims, records of runs, verdicts, provenance.

A study (`Study`) is a function, a grid and seeds; `Study.collect` loads the runs that are recorded
for the same settings, data and code, and computes the rest. `judge` turns the runs into a verdict
by the rule written down for the claim, and `ledger` does so for all claims from the records alone.
"""

from mmlib.evidence import allow
from mmlib.evidence.fingerprint import code_fingerprint, module_files
from mmlib.evidence.parameters import ParameterError, parameters
from mmlib.evidence.profiles import PROFILES, Profile
from mmlib.evidence.records import RecordWarning, results_root
from mmlib.evidence.runs import Runs
from mmlib.evidence.study import Study, StudyError
from mmlib.evidence.tables import claims, published, scalars, settings

__all__ = [
    "PROFILES",
    "ParameterError",
    "Profile",
    "RecordWarning",
    "Runs",
    "Study",
    "StudyError",
    "allow",
    "claims",
    "code_fingerprint",
    "module_files",
    "parameters",
    "published",
    "results_root",
    "scalars",
    "settings",
]
