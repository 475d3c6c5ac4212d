"""What several tests of the book need."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from builder import claims


@pytest.fixture
def row() -> Callable[..., claims.Row]:
    """Makes a row of the ledger; what a test does not name is an untested identity."""

    def made(**changes) -> claims.Row:
        values = {
            "id": "X-1",
            "source": "k-Mixup",
            "location": "section 2",
            "chapter": "13_kmixup",
            "kind": "identity",
            "statement": "a < b",
            "verdict": "not tested",
            "reason": "",
            "rule": None,
            "parts": [],
            "profile": None,
            "data": None,
            "n_seeds": None,
            "value": None,
            "interval": None,
            "published": None,
            "notebook": "notebooks/13_kmixup.ipynb",
            "cell": None,
            "record": None,
        }
        return values | changes

    return made
