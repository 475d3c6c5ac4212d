"""Interactive figures: valid HTML, what is stored agrees with what the library computes."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from mmlib.mixing import OptimalPairing
from mmlib.plots.interactive import (
    Choice,
    Slider,
    bottleneck_map,
    coupling_slider,
    interactive,
    lambda_layer,
)
from mmlib.studies.ch13 import fields

LARGEST = 400_000  # characters of one figure


class Reader(HTMLParser):
    """Collects tags and refuses an end without a beginning."""

    VOID = {"img", "input", "meta", "br"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(page) -> dict:
    """Return the payload of a figure that has everything a figure needs."""
    text = page.data
    reader = Reader(text)
    tags = [tag for tag, _ in reader.found]
    assert tags.count("label") == tags.count("select") + tags.count("input") > 0
    assert all(attrs["alt"].strip() for tag, attrs in reader.found if tag == "img")
    hidden = {attrs.get("class") for _, attrs in reader.found if "hidden" in attrs}
    assert hidden == {"mm-live-controls", "mm-live-stage", "mm-live-words"}
    assert "@media print" in text and not re.search(r"(src|href)=[\"']?(https?:)?//", text)
    assert len(text) < LARGEST and not plt.get_fignums()
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', text, re.S)[1])


def still():
    return plt.subplots(figsize=(1, 1))[0]


def test_text_is_escaped_and_equal_figures_are_equal():
    def made():
        control = Slider("step", "<i>", ["</script><b>", '"x"'], 1)
        return interactive(
            {"a": "</script>"}, [control], "() => ''", still(), 'a "b" <c>', caption="<u>"
        )

    text = made().data
    assert checked(made()) == {"a": "</script>"} and made().data == text
    assert text.count("</script>") == 2
    assert not any(tag in {"b", "i", "c", "u"} for tag, _ in Reader(text).found)
    slider = next(attrs for tag, attrs in Reader(text).found if tag == "input")
    assert slider["max"] == slider["value"] == "1"
    assert json.loads(slider["data-labels"]) == ["</script><b>", '"x"']


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"controls": []}, "controls: expected at least one"),
        ({"controls": [Choice("a", "a", ["x"]), Choice("a", "b", ["x"])]}, "a name each"),
        ({"alt": " "}, "alt: expected a description"),
        ({"payload": float("nan")}, "payload: expected what JSON can hold"),
        ({"payload": torch.ones(1)}, "payload: expected what JSON can hold"),
    ],
)
def test_the_frame_refuses(changed, message):
    given = {"payload": 1, "controls": [Choice("a", "a", ["x"])], "draw": "", "alt": "x"} | changed
    figure = still()
    with pytest.raises(ValueError, match=message):
        interactive(given["payload"], given["controls"], given["draw"], figure, given["alt"])
    plt.close(figure)


def test_a_control_refuses_no_options_and_a_start_outside():
    with pytest.raises(ValueError, match="expected at least one option"):
        Choice("a", "a", [])
    with pytest.raises(ValueError, match="start of a: expected an integer"):
        Slider("a", "a", ["x"], 1)


# ------------------------------------------------------------------------------ lambda and layer


@pytest.fixture(scope="module")
def nets():
    torch.manual_seed(0)
    return {
        name: nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
        for name in ("one", "two")
    }


def scaled(x):
    return x.float() / 255


PICTURES = torch.randint(0, 256, (4, 1, 4, 4), generator=torch.Generator().manual_seed(0)).byte()
LABELS = torch.tensor([0, 1, 2, 0])


def test_probabilities_are_those_of_the_mixed_state(nets):
    data = checked(
        lambda_layer(nets, PICTURES, LABELS, ["input", "2"], ["a", "b", "c"], inputs=scaled)
    )
    x = scaled(PICTURES[2:])
    for lam in (0.0, 0.3, 1.0):
        step = data["lams"].index(lam)
        for n, net in enumerate(nets.values()):
            state = net[:3](x)
            by_hand = net[3](lam * state[0] + (1 - lam) * state[1]).softmax(0)
            stored = np.array(data["found"][1][1]["p"][n][step]) / 1000
            np.testing.assert_allclose(stored, by_hand.detach().numpy(), atol=6e-4)
            target = lam * np.eye(3)[2] + (1 - lam) * np.eye(3)[0]
            entropy = -sum(t * np.log(t) for t in target if t)
            excess = -(target * by_hand.log().detach().numpy()).sum() - entropy
            assert abs(data["found"][1][1]["excess"][n][step] / 1000 - excess) < 1e-3
    at_input, at_state = (np.array(data["found"][0][layer]["p"]) for layer in (0, 1))
    assert np.array_equal(at_input[:, [0, -1]], at_state[:, [0, -1]])  # equal at the ends
    assert not np.array_equal(at_input, at_state)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"nets": {}}, "nets and layers: expected one or more"),
        ({"layers": []}, "nets and layers: expected one or more"),
        ({"x": PICTURES[:3], "y": LABELS[:3]}, "x: expected"),
        ({"x": PICTURES.float()}, "x: expected"),
        ({"y": torch.tensor([0, 0, 1, 2])}, "pairs of two classes"),
        ({"y": torch.tensor([0, 1, 2, 3])}, "y: expected classes below 3"),
        ({"layers": ["nowhere"]}, "nowhere"),
        ({"start": "2"}, "start: expected one of 'input'"),
    ],
)
def test_lambda_layer_refuses(nets, changed, message):
    given = {"nets": nets, "x": PICTURES, "y": LABELS, "layers": ["input"], "classes": "abc"}
    with pytest.raises(ValueError, match=message):
        lambda_layer(**given | changed, inputs=scaled)


# ------------------------------------------------------------------------------ couplings


def test_partners_and_lengths_are_the_library_s():
    data = checked(coupling_slider(["four_bars", "one_ring"], [1, 4, 8], n=32, shown=16, seeds=[3]))
    trial = data["toys"][0]["trials"][0]
    x, y, _, _ = fields.points("four_bars", 32, 2, 3)
    lengths = []
    for k, stored in zip(data["ks"], trial["ks"], strict=True):
        pairing = OptimalPairing(k, sets="independent")
        order = pairing.draw(32, torch.Generator().manual_seed(3), other=True)
        first, second = order[0][:16], pairing.match(order, x, x)[:16]
        partner = np.array(trial["second"])[stored["partner"]]
        scale = 1000 / fields.LIMITS["four_bars"]
        np.testing.assert_allclose(trial["first"], scale * x[first], atol=0.5)
        np.testing.assert_allclose(partner, scale * x[second], atol=0.5)
        square = (x[first] - x[second]).square().sum(1).mean()
        assert abs(stored["square"] - float(square)) < 1e-4
        cross = (y[first] != y[second]).double().mean()
        assert abs(stored["cross"] - 100 * float(cross)) < 0.01
        assert stored["wrong"][0] == stored["wrong"][-1] == 0  # nothing is mixed at the ends
        lengths.append(stored["square"])
    assert lengths == sorted(lengths, reverse=True) and lengths[0] > lengths[-1]


def test_the_tint_covers_the_places_of_class_1():
    data = checked(coupling_slider(["four_bars"], [1], n=8, shown=8, seeds=[0]))
    rows = re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", data["toys"][0]["region"])
    tinted = np.zeros((60, 60), dtype=bool)
    for x, y, wide in np.array(rows, dtype=int):
        tinted[y, x : x + wide] = True
    label = fields.field("four_bars").at(fields.region("four_bars", 60))[1].reshape(60, 60)
    assert np.array_equal(tinted, label == 1) and 0.2 < tinted.mean() < 0.8


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"toys": []}, "expected at least one each"),
        ({"toys": ["five_bars"]}, "dataset: expected one of"),
        ({"ks": [3]}, "ks: expected divisors of the 8 pairs shown, but got 3"),
        ({"shown": 20}, "shown: expected an integer"),
    ],
)
def test_coupling_slider_refuses(changed, message):
    given = {"toys": ["four_bars"], "ks": [1], "n": 16, "shown": 8, "seeds": [0]} | changed
    with pytest.raises(ValueError, match=message):
        coupling_slider(given.pop("toys"), given.pop("ks"), **given)


# ------------------------------------------------------------------------------ bottleneck


def runs(frames: bool, digits=(0, 3, 7), code: int = 2):
    rng, lead = np.random.default_rng(0), (4, 3) if frames else (3,)
    row = {"digits": digits, "code": code, "methods": ["none", "input", "manifold"]}
    arrays = {
        "points": rng.normal(size=(*lead, 30, 2)),
        "labels": np.arange(30) % len(digits),
        "regions": rng.integers(0, 20 * len(digits), (*lead, 40, 40)).astype(np.uint8),
        "box": np.broadcast_to([0.5, -0.5, 2.0], (*lead, 3)),
    }
    table = pd.DataFrame([row | {"frames": frames, "epochs": 3}])
    return SimpleNamespace(table=table, arrays=lambda _: arrays), arrays


@pytest.mark.parametrize("frames", [True, False])
def test_maps_codes_and_centres_are_the_recorded_ones(frames):
    recorded, arrays = runs(frames)
    net = checked(bottleneck_map({"net": (recorded, 0)}, ends=(0, 7)))["nets"][0]
    assert len(net["frames"]) == (4 if frames else 1) and net["digits"] == [0, 3, 7]
    where = (2, 1) if frames else (1,)
    plane = net["frames"][2 if frames else 0]["planes"][1]
    shown = np.frombuffer(base64.b64decode(plane["map"]), dtype=np.uint8).reshape(40, 40)
    assert np.array_equal(shown, arrays["regions"][where])
    codes = 0.5 * 1000 * (arrays["points"][where] - [0.5, -0.5])
    np.testing.assert_allclose(plane["points"], codes, atol=0.51)
    middle = np.median(codes[arrays["labels"] == 1], axis=0)
    np.testing.assert_allclose(plane["centres"][1], middle, atol=1)


def test_bottleneck_map_refuses():
    with pytest.raises(ValueError, match="nets: expected at least one"):
        bottleneck_map({}, ends=(0, 1))
    with pytest.raises(ValueError, match=r"ends: expected two of \[0, 3, 7\], but got \(0, 1\)"):
        bottleneck_map({"net": (runs(False)[0], 0)}, ends=(0, 1))
    with pytest.raises(ValueError, match="codes of 2 units"):
        bottleneck_map({"net": (runs(False, code=3)[0], 0)}, ends=(0, 3))
