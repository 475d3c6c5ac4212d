"""Notebook parameters: a wrong name or value is one sentence that says what to do."""

from __future__ import annotations

import pytest

from mmlib.evidence import ParameterError, allow, parameters

SPECS = {"alpha": allow.number(low=0, low_open=True), "layer": allow.choice("input", "hidden")}
GIVEN = {
    "profile": "quick",
    "seed": 0,
    "n_seeds": None,
    "device": "cpu",
    "recompute": False,
    "alpha": 2.0,
    "layer": "input",
}


def test_the_values_come_back_frozen():
    P = parameters(dict(GIVEN), **SPECS)
    assert (P.profile, P.seed, P.n_seeds, P.alpha, P.recompute) == ("quick", 0, None, 2.0, False)
    assert parameters(dict(GIVEN, device="auto"), **SPECS).device in ("cpu", "cuda", "mps")
    with pytest.raises(AttributeError):
        P.seed = 1


@pytest.mark.parametrize(
    "change, parts",
    [
        ({"profile": "banana"}, ["profile: expected one of 'smoke', 'quick', 'paper'", "'banana'"]),
        ({"profile": "quik"}, ["did you mean 'quick'?"]),
        ({"alpha": -1}, ["alpha: expected a finite number > 0, but got -1"]),
        ({"alpha": "[0,2]"}, ["alpha: expected a finite number > 0, but got '[0,2]'"]),
        ({"alpha": float("nan")}, ["alpha: ", "got nan"]),
        ({"sead": 3}, ["sead: there is no parameter", "sead = 3", "did you mean 'seed'"]),
        ({"seed": 1.5}, ["seed: expected an integer >= 0, but got 1.5"]),
        ({"seed": 1e3}, ["seed: expected an integer >= 0, but got 1000.0 (write 1000)"]),
        ({"seed": True}, ["seed: expected an integer"]),
        ({"n_seeds": 0}, ["n_seeds: expected None or an integer >= 1, but got 0"]),
        ({"recompute": "true"}, ["recompute: expected True or False", "(write True)"]),
        ({"recompute": 1}, ["recompute: expected True or False, but got 1"]),
        ({"device": "gpu"}, ["device: expected one of 'auto', 'cpu'", "'gpu'"]),
        ({"layer": "hiden"}, ["layer: expected one of 'input', 'hidden'", "mean 'hidden'?"]),
        ({"flags": {"a": 1}}, ["flags: there is no parameter"]),
    ],
)
def test_a_wrong_parameter_is_one_sentence(change, parts):
    with pytest.raises(ParameterError) as caught:
        parameters(GIVEN | change, **SPECS)
    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert caught.value._render_traceback_() == [f"ParameterError: {message}"]
    assert "\n" not in message


def test_a_device_that_the_machine_lacks(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ParameterError) as caught:
        parameters(GIVEN | {"device": "cuda"}, **SPECS)
    assert "'auto', 'cpu'" in str(caught.value) and "no cuda device" in str(caught.value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert parameters(GIVEN | {"device": "auto"}, **SPECS).device == "cuda"
    with pytest.raises(ParameterError, match="'cuda:0', but got 'cuda:7'"):
        parameters(GIVEN | {"device": "cuda:7"}, **SPECS)


def test_unknown_names_are_looked_for_on_the_first_call_only():
    namespace = dict(GIVEN, _private=1, np=pytest, In=[""], Out={}, exit="x")
    first = parameters(namespace, **SPECS)
    namespace["result"] = 3.0  # set by a cell further down, then this cell is run again
    assert parameters(namespace, **SPECS) == first


def test_what_papermill_injects_is_known_exactly():
    cells = ["", "seed = 0", "# Parameters\nsead = 3\n", "P = parameters(globals())"]
    with pytest.raises(ParameterError, match="sead: there is no parameter"):
        parameters(GIVEN | {"In": cells, "sead": 3, "other": 1}, **SPECS)
    cells[2] = "# Parameters\nseed = 3\n"
    assert parameters(GIVEN | {"In": cells, "seed": 3, "other": 1}, **SPECS).seed == 3


def test_a_declared_parameter_must_be_set():
    with pytest.raises(ParameterError, match="alpha: expected a value in the parameters cell"):
        parameters({"seed": 0}, alpha=allow.number())


def test_lists_of_numbers():
    spec = allow.numbers(low=0, low_open=True, including=2.0)
    assert spec("alphas", [0.5, 2]) == (0.5, 2.0)
    for value, message in (
        ("[0.5, 2]", "alphas: expected a list of numbers, but got"),
        ([], "expected a list of numbers"),
        ([2.0, "1"], r"alphas\[1\]: expected a finite number > 0, but got '1'"),
        ([2.0, -1], r"alphas\[1\]"),
        ([2.0, 2], "different numbers"),
        ([0.5, 1.0], "expected 2 among them"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            spec("alphas", value)
