"""What a type checker tells a user of the public interface."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import torch
from torch import nn

from mmlib.mixing import (
    Draw, Law, Mixed, Mixup, OptimalPairing, capture, eligible_sites, mix_at, mixed_accuracy,
    pair_statistics, resume, soft_cross_entropy, soft_targets,
)

model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
x, y = torch.randn(4, 2), torch.tensor([0, 1, 2, 0])
mixup = Mixup(2.0, ("input", "0"), pairing=OptimalPairing(2), generator=torch.Generator())
mixed = mixup(model, x, y)
drawn = mixup.draw(4)
reveal_type(mixed)
reveal_type(mixed.targets)
reveal_type(mixed.lam)
reveal_type(mixed.partner)
reveal_type(mixed.layer)
reveal_type(mixed.draw)
reveal_type(mixed.k)
reveal_type(drawn.partner)
reveal_type(mixup.apply(model, x, y, drawn))
reveal_type(soft_cross_entropy(mixed.logits, mixed.targets))
reveal_type(capture(model, x, "0"))
reveal_type(eligible_sites(model))
reveal_type(pair_statistics(mixed.partner, y).self_pairs)
reveal_type(mixed_accuracy(mixed, y))
reveal_type(soft_targets(y, 3))
reveal_type(Law("beta", alpha=0.2).quantile(torch.rand(3).double()))
loss = soft_cross_entropy(mixed.logits, mixed.targets)
loss.backward()
out = mix_at(model, x, "0", 0.5, torch.arange(4)), resume(model, x, "0", torch.randn(4, 4))
"""
REVEALED = [
    "Mixed",
    "Tensor",
    "Tensor",
    "Tensor",
    "str | tuple[str, ...]",
    "Draw",
    "int | None",
    "Tensor | None",
    "Mixed",
    "Tensor",
    "Tensor",
    "tuple[str, ...]",
    "float",
    "Tensor",
    "Tensor",
    "Tensor",
]
WRONG = {
    "mixup(model, x)": "call-arg",
    "mixup(x, y, model)": "arg-type",
    'Mixup("2.0")': "arg-type",
    "mixed.lambdas": "attr-defined",
    "Mixup(pairing=3)": "arg-type",
    "soft_cross_entropy(mixed, y)": "arg-type",
}


@pytest.fixture(scope="module")
def checked(tmp_path_factory) -> list[str]:
    """The lines that mypy prints about a user's script, followed by wrong calls."""
    folder = tmp_path_factory.mktemp("typed")
    (folder / "script.py").write_text(SCRIPT + "\n".join(WRONG) + "\n", encoding="utf-8")
    settings = "[mypy]\nstrict = True\ndisallow_untyped_calls = False\n"  # backward() of torch
    (folder / "mypy.ini").write_text(settings, encoding="utf-8")
    # The package is found as an installed one is: by its marker, and without its own settings.
    path = folder / "site"
    path.mkdir()
    (path / "mmlib").symlink_to(ROOT / "mmlib")
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--no-color-output"]
    command += ["--cache-dir", str(ROOT / ".mypy_cache" / "user"), "script.py"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={"MYPYPATH": str(path)}
    )
    assert "script.py" in done.stdout, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("script.py")]


def test_a_typed_script_sees_the_types_of_a_mixing_step(checked):
    revealed = [re.search(r'Revealed type is "(.+)"', line) for line in checked]
    found = [match[1] for match in revealed if match]
    assert [re.sub(r"[\w.]+\.(\w+)", r"\1", name) for name in found] == REVEALED


def test_wrong_calls_are_refused_and_nothing_else(checked):
    first = SCRIPT.count("\n") + 1
    errors = {}
    for line in checked:
        if ": error:" in line:
            number, code = int(line.split(":")[1]), line.rsplit("[", 1)[1].rstrip("]")
            errors[number] = code
    assert errors == {first + i: code for i, code in enumerate(WRONG.values())}
