"""Recounts follow the printed cells."""

from __future__ import annotations

import pytest

from mmlib.evidence import recount


def test_recounts_follow_the_printed_cells():
    found = recount()
    assert (found["toys-ties"], found["toys-below"], found["toys-cells"]) == (12, 4, 60)
    assert found["cifar10-halves"] == found["cifar10-cells"] == 42
    assert found["synthetic-C"] == pytest.approx(66.09 - 63.05)
    assert found["first-early30-manifold"] == pytest.approx(24.60 / 33.64)
    assert found["fgsm-mnist-loss"] == pytest.approx(77.14 - 69.33)
    assert found["fgsm-fortified"] == pytest.approx(81.80 - 77.50)
    assert found["cifar100-below"] == pytest.approx(78.9 - 77.208)
