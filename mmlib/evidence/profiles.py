"""The three sizes at which every experiment of the book exists."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """One size of an experiment: its name, what it is for, and whether it can support a verdict."""

    name: str
    meaning: str
    supports_verdicts: bool


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("smoke", "the code path, under a minute on two cores; never a verdict", False),
        Profile("quick", "the direction of the effect, minutes on a laptop; the default", True),
        Profile("paper", "the settings of the texts, for a GPU; resumable", True),
    )
}
