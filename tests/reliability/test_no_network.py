"""No network: nothing hangs, and a stand-in is said wherever a number appears."""

from __future__ import annotations

import socket
import time

import pytest

from mmlib import data
from mmlib.data import store
from mmlib.evidence import Study, provenance

RUN = """
from mmlib.data import load

def run(settings, seed):
    return {"classes": load(settings["data"]).num_classes}
"""


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No data on this machine, and a network that may be asked."""
    for name in ("MMLIB_DATA", "MMLIB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "_refused", {})


@pytest.fixture(params=["refused", "unreachable", "no names", "silent"])
def network(request, nowhere, monkeypatch):
    """A network that fails in one of several ways; gives how often it was asked."""
    asked = []
    monkeypatch.setattr(store, "PROBE_SECONDS", 0.2)
    reasons = {
        "refused": ConnectionRefusedError(111, "Connection refused"),
        "unreachable": OSError(101, "Network is unreachable"),
        "no names": socket.gaierror(-3, "Temporary failure in name resolution"),
    }

    def fail(*args, **options):
        asked.append(args)
        if request.param == "silent":
            time.sleep(3)  # a name server that does not answer has no timeout of its own
            raise socket.gaierror(-3, "late")
        raise reasons[request.param]

    monkeypatch.setattr(socket, "create_connection", fail)
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(socket.socket, "connect", fail)
    return asked


def test_every_set_has_its_stand_in_and_one_question_a_set_is_asked(network):
    began = time.monotonic()
    for name in ("mnist", "cifar10", "abalone"):
        for _ in range(2):
            with pytest.warns(data.StandInWarning, match="could not be downloaded"):
                loaded = data.load(name)
            assert loaded.embedded and loaded.asked == name
    assert len(network) <= 3 and time.monotonic() - began < 20


def test_a_study_says_on_what_it_was_run(network, module):
    study = Study("net", module(RUN).run, {"quick": [{}]}, {"quick": 2}, data="mnist", n_jobs=1)
    runs = study.collect("quick")
    assert "digits (stands in for mnist)" in runs.summary() and runs.is_stand_in
    assert "it stands in for real data" in str(provenance(runs))
    assert len(network) <= 1


def test_offline_by_choice_asks_nobody(nowhere, monkeypatch):
    def fail(*args, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setenv("MMLIB_OFFLINE", "1")
    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, fail)
    with pytest.warns(data.StandInWarning, match="MMLIB_OFFLINE is set"):
        assert data.load("cifar100").name == "colour_shapes"
    with pytest.raises(data.DataNotFoundError, match="MMLIB_OFFLINE is set"):
        data.load("svhn", fallback=False)
