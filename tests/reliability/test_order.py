"""Chapters share trained networks: whoever asks first trains them, and nobody's numbers change."""

from __future__ import annotations

import pytest

from mmlib.evidence import Study
from mmlib.studies import ch05, ch06
from mmlib.studies.ch03 import experiments

TINY = {"model": "small_conv", "width": 8, "n_train": 40, "n_test": 30, "n_watch": 10, "batch": 20}


def chapters() -> dict[str, Study]:
    """Three studies of one and the same network: its scores, its deformations, its attacks."""
    made = {}
    for name, run, grid in (
        ("03", experiments.train_with_curves, ch06.ATTACKS.grid),
        ("05", ch05.DEFORMED.run, ch05.DEFORMED.grid),
        ("06", ch06.ATTACKS.run, ch06.ATTACKS.grid),
    ):
        cell = {k: v for k, v in grid["smoke"][0].items() if k != "final_norm"} | TINY
        made[name] = Study(f"order-{name}", run, {"smoke": [cell]}, {"smoke": 1}, n_jobs=1)
    return made


@pytest.mark.slow
def test_the_numbers_of_chapters_do_not_depend_on_their_order(results, monkeypatch):
    monkeypatch.delenv("MMLIB_DATA", raising=False)
    monkeypatch.setenv("MMLIB_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(results / "cache"))
    found, trained = [], []
    for number, order in enumerate((["03", "05", "06"], ["06", "05", "03"], ["05"])):
        monkeypatch.setenv("MMLIB_RESULTS", str(results / str(number)))
        studies = chapters()
        found.append({name: studies[name].collect("smoke") for name in order})
        trained.append(len(list((results / str(number) / "networks").glob("*.pt"))))
    assert trained == [1, 1, 1], "one network, trained by the first that asks"
    first, second, alone = ({n: r.records[0]["metrics"] for n, r in one.items()} for one in found)
    assert first == second and alone["05"] == first["05"] and len(first["06"]) > 5
