"""A study on a Dask cluster gives the records that it gives here, or says why it cannot."""

from __future__ import annotations

import dataclasses
import json
import socket

import pytest

from mmlib.evidence import ClusterError, Study
from mmlib.evidence.cluster import Conditions, address_of, connected
from mmlib.evidence.fingerprint import code_fingerprint

pytest.importorskip("distributed")

# A float32 sum, whose last digits would show another order or thread count. It dies once if told.
RUN = """
import os, pathlib, signal
import numpy as np

def run(settings, seed):
    mark = pathlib.Path({mark!r})
    if settings["method"] == "b" and seed == 1 and mark.exists():
        mark.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    rng = np.random.default_rng([seed, ord(settings["method"])])
    x = rng.standard_normal((60, 60)).astype(np.float32)
    return {{"loss": float((x @ x.T @ x).sum())}}, {{"row": x[0]}}
"""

SCRIPT = """
import json, os
from dask.distributed import LocalCluster
from mmlib.evidence import Study
from toy import run

def rows(way, **options):
    os.environ["MMLIB_RESULTS"] = f"results-{{way}}"
    study = Study("toy", run, {{"quick": [{{"method": m}} for m in "abcd"]}}, {{"quick": 3}})
    records = study.collect("quick", **options).records
    return [{{k: v for k, v in row.items() if k not in ("time", "seconds")}} for row in records]

if __name__ == "__main__":
    found = [rows("serial", n_jobs=1), rows("processes", n_jobs=2)]
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        if {kill}:
            open({mark!r}, "w").close()
        found.append(rows("dask", cluster=cluster.scheduler_address))
    print(json.dumps(found))
"""


@pytest.mark.parametrize("kill", [False, True])
def test_serial_processes_and_dask_give_equal_records(tmp_path, python, kill):
    mark = tmp_path / "die"
    (tmp_path / "toy.py").write_text(RUN.format(mark=str(mark)))
    process = python(SCRIPT.format(mark=str(mark), kill=kill), TQDM_DISABLE="1")
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    serial, processes, dask = json.loads(out.splitlines()[-1])
    assert len(serial) == 12 and serial == processes == dask
    assert not mark.exists()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:{port}", "nonsense://x"])
def test_an_address_that_does_not_answer(module, monkeypatch, address):
    study = Study("toy", module(RUN.format(mark="/nowhere")).run, {"quick": [{"method": "a"}]})
    with socket.socket() as bound:  # bound and not listening: nobody answers
        bound.bind(("127.0.0.1", 0))
        address = address.format(port=bound.getsockname()[1])
        with pytest.raises(ClusterError, match="none answered at"), connected(address, 0.5):
            pass
    monkeypatch.setenv("MMLIB_CLUSTER", "nonsense://x")
    with pytest.raises(ClusterError, match="nonsense"):
        study.collect("quick", n_seeds=1)
    assert not study.path("quick").exists()


def test_the_address_comes_from_the_argument_or_the_environment(monkeypatch):
    monkeypatch.delenv("MMLIB_CLUSTER", raising=False)
    assert address_of(None) is None and address_of("tcp://a:1") == "tcp://a:1"
    monkeypatch.setenv("MMLIB_CLUSTER", "tcp://b:1")
    assert address_of(None) == "tcp://b:1" and address_of("tcp://a:1") == "tcp://a:1"


def test_a_worker_with_other_code_versions_or_data_is_refused(module):
    run = module(RUN.format(mark="/nowhere")).run
    here = {"mnist": "1"}.__getitem__
    good = Conditions(code_fingerprint(run), data={"mnist": "1"}, fingerprint=here)
    assert good.unmet(run, {"data": "mnist"}) is None and good.unmet(run, {}) is None
    for change, why in (
        ({"code": "0"}, "other code"),
        ({"versions": {**good.versions, "torch": "0.1"}}, "instead of 0.1"),
        ({"data": {"mnist": "2"}}, "other files"),
        ({"fingerprint": {}.__getitem__}, "cannot read the data 'mnist'"),
    ):
        assert why in dataclasses.replace(good, **change).unmet(run, {"data": "mnist"})
