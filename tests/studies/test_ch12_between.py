"""What lies between hidden states: the measures on networks whose answer is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmlib.evidence.rulebook import rules
from mmlib.studies.ch12 import between


class Line:
    """A data set on a line: class 0 around -1, class 1 around +1."""

    num_classes, device = 2, torch.device("cpu")

    def __init__(self) -> None:
        self.y_train = self.y_test = torch.arange(400) % 2
        wiggle = 0.1 * torch.rand(2, 400, 1, generator=torch.Generator().manual_seed(0))
        self.x_train, self.x_test = 2.0 * self.y_train[:, None] - 1 + wiggle

    def inputs(self, x: torch.Tensor) -> torch.Tensor:
        return x


def net(scale: float = 1.0) -> nn.Sequential:
    parts = nn.Sequential()
    parts.add_module("code", nn.Linear(1, 1, bias=False))
    parts.add_module("head", nn.Linear(1, 2))
    parts.code.weight.data.fill_(scale)
    return parts


def test_one_run_has_all_numbers():
    metrics, arrays = between.between(between.cell("smoke"), 0)
    assert {f"empty_{m}" for m in between.METHODS} <= set(metrics)
    assert arrays["changed_none"][-1] == 0 and len(arrays["changed_none"]) == 2
    assert metrics["error_retrieved"] < 1e-12 < metrics["control_retrieved"]


@pytest.mark.parametrize("scale", [0.1, 5.0])
def test_the_gap_between_two_clouds_is_empty_at_any_scale(scale):
    middle = between.Middle(Line(), 400, 0)
    for epoch in range(2):
        middle.watch(epoch, {"none": net(scale)})
    found = middle.metrics("none", net(scale))
    assert found["empty_none"] == 1.0
    # A middle of two of one class lies among its class, where real states are dense.
    assert found["empty_own_none"] < 0.2
    assert found["changed_none"] == 0.0


def test_states_that_change_sides_change_every_middle():
    middle = between.Middle(Line(), 400, 0)
    # One more real example, half way is the nearest to every middle of two classes.
    middle.real = torch.cat([middle.real, torch.full((1, 1), 0.05)])
    middle.labels = torch.cat([middle.labels, torch.tensor([1])])
    for epoch in range(2):
        middle.watch(epoch, {"none": net()})
    middle.labels = torch.cat([middle.labels[:-1], torch.tensor([0])])
    middle.watch(2, {"none": net()})
    assert middle.metrics("none", net())["changed_none"] == 1.0


@pytest.mark.parametrize("claim", ["CHO-tie", "CHO-empty", "CHO-related"])
def test_rules_name_the_study(claim):
    assert rules()[claim].study == "ch12-between"
