from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

from mmlib.mixing import Mixup
from mmlib.models import build
from mmlib.training import CheckpointError, CropFlip, fit


class Interrupted(Exception):
    pass


def run(path=None, *, stop_after=None, model=None, **options):
    """Train a net with dropout, mixing and augmentation: every source of randomness at once."""
    torch.manual_seed(0)
    rows = torch.Generator().manual_seed(5)
    x = torch.randint(256, (40, 1, 8, 8), generator=rows).byte()
    y = torch.randint(10, (40,), generator=rows)
    if model is None:
        conv = build("small_conv", image_size=8, width=8, seed=1)
        model = nn.Sequential(conv, nn.Dropout(0.2), nn.Linear(10, 10))

    def evaluate(model):
        evaluate.calls += 1
        if evaluate.calls == stop_after:
            raise Interrupted
        return {"calls": 1.0}

    evaluate.calls = 0
    settings = dict(epochs=6, batch_size=8, lr=0.05, augment=CropFlip(1), evaluate=evaluate)
    mixup = Mixup(1.0, ("input", "0.block1"), generator=torch.Generator().manual_seed(3))
    history = fit(
        model, x, y, mixup=mixup, inputs=lambda b: b.float() / 255, checkpoint=path,
        generator=torch.Generator().manual_seed(2), **settings | options,
    )  # fmt: skip
    return torch.cat([p.detach().flatten().double() for p in model.state_dict().values()]), history


@pytest.mark.parametrize("stop_after", [1, 2, 5])
@pytest.mark.parametrize("every", [1, 2])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(tmp_path, stop_after, every):
    file = tmp_path / "deep" / "run.pt"
    with pytest.raises(Interrupted):
        run(file, stop_after=stop_after, checkpoint_every=every)
    weights, history = run(file, checkpoint_every=every)
    whole, expected = run()
    assert torch.equal(weights, whole)
    assert history.column("train_loss") == expected.column("train_loss")
    assert history.steps == expected.steps == 30
    assert history.column("seconds") == sorted(history.column("seconds"))
    assert [path.name for path in file.parent.iterdir()] == ["run.pt"]


def test_a_finished_run_only_puts_its_weights_back(tmp_path):
    first, _ = run(tmp_path / "run.pt")
    again, history = run(tmp_path / "run.pt", stop_after=1)  # an evaluation would raise
    assert torch.equal(first, again) and len(history.epochs) == 6


def test_the_weights_differ_without_the_saved_generators(tmp_path):
    # The control of the tests above: going on with fresh generators ends elsewhere.
    file = tmp_path / "run.pt"
    with pytest.raises(Interrupted):
        run(file, stop_after=3)
    state = torch.load(file, weights_only=True)
    state["generators"] = [torch.Generator().manual_seed(s).get_state() for s in (2, 3)]
    torch.save(state, file)
    assert not torch.equal(run(file)[0], run()[0])


SCRIPT = """
    import sys
    sys.path.insert(0, {tests!r})
    import torch
    from test_checkpoint import run
    torch.set_num_threads(1)
    print("ready", flush=True)
    weights, _ = run(sys.argv[1], epochs=40)
    torch.save(weights, sys.argv[1] + ".weights")
"""


def test_kill_at_a_random_moment_and_resume(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT.format(tests=os.path.dirname(__file__))))
    whole = tmp_path / "whole.pt"
    subprocess.run([sys.executable, script, whole], check=True)
    file = tmp_path / "killed.pt"
    kills, delays = 0, random.Random(0)
    for _ in range(20):
        command = [sys.executable, script, file]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            try:
                child.wait(0.05 + 0.3 * delays.random())
                break
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                kills += 1
    else:
        subprocess.run([sys.executable, script, file], check=True)
    assert kills > 0
    weights = [torch.load(f"{path}.weights", weights_only=True) for path in (whole, file)]
    assert torch.equal(*weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(lr=0.1), "lr was 0.05, now 0.1"),
        (dict(epochs=7), "epochs was 6, now 7"),
        (dict(augment=None), "augment was .*CropFlip.*, now 'None'"),
        (dict(nesterov=False, batch_size=4), "batch_size was 8, now 4; nesterov was True"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path, options, message):
    run(tmp_path / "run.pt")
    with pytest.raises(CheckpointError, match=message):
        run(tmp_path / "run.pt", **options)


def test_another_network_and_a_broken_file_are_refused(tmp_path):
    file = tmp_path / "run.pt"
    run(file)
    other = nn.Sequential(build("small_conv", image_size=8, width=9), nn.Identity())
    with pytest.raises(CheckpointError, match="another network"):
        run(file, model=other)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be read .* delete it"):
        run(file)
    torch.save({"weights": torch.zeros(2)}, file)
    with pytest.raises(CheckpointError, match="version"):
        run(file)


def test_a_bad_loss_keeps_the_last_good_checkpoint(tmp_path):
    file = tmp_path / "run.pt"
    model = nn.Sequential(build("small_conv", image_size=8, width=8, seed=1), nn.Linear(10, 10))

    def poison(model):
        poison.calls += 1
        if poison.calls == 3:
            with torch.no_grad():
                model[1].weight.fill_(torch.nan)
        return {}

    poison.calls = 0
    with pytest.raises(FloatingPointError, match=r"loss is nan at step 16 \(epoch 4\)"):
        run(file, model=model, evaluate=poison, checkpoint_every=2)
    state = torch.load(file, weights_only=True)
    assert len(state["history"]["epochs"]) == 2
    assert all(torch.isfinite(v).all() for v in state["model"].values())
