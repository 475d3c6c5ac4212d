"""Checkpoints: all that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mmlib.training.history import History

_FORMAT = 1


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used; the message names the file and what does not fit."""


class Checkpoint:
    """The state of a training run in one file.

    It holds the weights and buffers, the optimiser, the history, the settings that determine the
    run, and the states of every generator it draws from. A file is written whole or not at all,
    and it is read with ``weights_only=True``, so that no code of a foreign file runs.

    Args:
        path: The file; its folder is made.
        settings: Names and plain values that determine the run, to be compared when it resumes.
        generators: The generators of the run, in a fixed order; None stands for torch's own.

    Raises:
        CheckpointError: the file is no checkpoint, or not one of this run.
    """

    def __init__(
        self,
        path: str | Path,
        settings: dict[str, Any],
        generators: Sequence[torch.Generator | None],
    ) -> None:
        self.path = Path(path)
        self.settings = settings
        self.generators = [g for g in generators if g is not None]

    def save(self, model: nn.Module, optimiser: torch.optim.Optimizer, history: History) -> None:
        """Write the state after an epoch; the file before it is replaced in one move."""
        state = {
            "format": _FORMAT,
            "settings": self.settings,
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "history": {"epochs": history.epochs, "steps": history.steps},
            "generators": [generator.get_state() for generator in self.generators],
            "cpu": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            with draft.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self.path)
        finally:
            draft.unlink(missing_ok=True)

    def resume(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> History:
        """Put the saved state back; return the history so far, an empty one without a file."""
        if not self.path.exists():
            return History()
        state = self._read()
        self._compare(state["settings"])
        device = next(model.parameters()).device
        try:
            model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise CheckpointError(f"checkpoint {self.path}: of another network: {error}") from None
        optimiser.load_state_dict(state["optimiser"])
        if len(state["generators"]) != len(self.generators):
            raise CheckpointError(
                f"checkpoint {self.path}: it holds {len(state['generators'])} generators, "
                f"but this run draws from {len(self.generators)}"
            )
        for generator, saved in zip(self.generators, state["generators"], strict=True):
            generator.set_state(saved)
        torch.set_rng_state(state["cpu"])
        if device.type == "cuda" and len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])
        return History(**state["history"])

    def _read(self) -> dict[str, Any]:
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise CheckpointError(
                f"checkpoint {self.path}: cannot be read ({why}); delete it to start again"
            ) from None
        if not isinstance(state, dict) or state.get("format") != _FORMAT:
            raise CheckpointError(f"checkpoint {self.path}: not one of this library's version")
        return state

    def _compare(self, saved: dict[str, Any]) -> None:
        names = [name for name in {**saved, **self.settings} if _of(saved, name) != _of(self, name)]
        if names:
            differences = "; ".join(
                f"{name} was {_of(saved, name)}, now {_of(self, name)}" for name in names
            )
            raise CheckpointError(
                f"checkpoint {self.path}: of a run with other settings: {differences}. "
                "Use the same settings, another file, or delete it"
            )


def _of(owner: Checkpoint | dict[str, Any], name: str) -> str:
    settings = owner.settings if isinstance(owner, Checkpoint) else owner
    return repr(settings[name]) if name in settings else "absent"


def discard(path: str | Path) -> None:
    """Delete a checkpoint and the drafts that killed runs left beside it."""
    path = Path(path)
    for file in (path, *path.parent.glob(f"{path.name}.*.part")):
        with contextlib.suppress(FileNotFoundError):
            file.unlink()


def name_of(function: Any) -> str:
    """Return the name under which a checkpoint keeps a function."""
    return getattr(function, "__qualname__", None) or repr(function)


def digest(*tensors: torch.Tensor) -> str:
    """Return a short hash of the shapes and bytes of tensors."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())  # type: ignore[arg-type]
    return found.hexdigest()[:16]
