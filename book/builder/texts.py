"""The five texts: their short names, and the section that a claim belongs to."""

from __future__ import annotations

import re

# Stable names for addresses: ledger.html?in=v1/section-4-1, find.html#v1-table-8.
SLUGS = {
    "Manifold Mixup v1": "v1",
    "Manifold Mixup ICML": "icml",
    "Manifold Mixup abstract page": "abstract",
    "Manifold mixup: degeneracy? (blog)": "critique",
    "k-Mixup": "k-mixup",
}
TITLES = {
    "Manifold Mixup v1": "Manifold Mixup, first version",
    "Manifold Mixup ICML": "Manifold Mixup, final version: appendices",
    "Manifold Mixup abstract page": "Manifold Mixup, final version: abstract page",
    "Manifold mixup: degeneracy? (blog)": "Manifold mixup: degeneracy?",
    "k-Mixup": "k-Mixup",
}

# Where the figures and tables of a text stand, for claims that name only the figure.
HOME = {
    "Manifold Mixup v1": {
        "Figure 1": "Section 2",
        "Table 1": "Section 4.1",
        "Table 2": "Section 4.1",
        "Tables 3": "Section 4.1",
        "Table 4": "Section 4.2",
        "Table 5": "Section 4.3",
        "Table 6": "Section 4.4",
        "Figures 2": "Section 5",
        "Figure 3": "Section 5",
        "Figure 4": "Section 5",
        "Figure 5": "Section 5",
        "Table 7": "Appendix A",
        "Table 8": "Appendix E",
        "Figure 8": "Appendix F",
    },
    "Manifold Mixup ICML": {
        "Figure 4": "Appendix A",
        "Figure 6": "Appendix C",
        "Figure 7": "Appendix C",
        "Table 9": "Appendix C",
        "Figure 9": "Appendix G",
        "Figure 10": "Appendix G",
        "Figure 11": "Appendix G",
        "Figures 9": "Appendix G",
        "Figure 12": "Appendix G",
    },
    "k-Mixup": {"Figure 1": "Section 1", "Figure 2": "Section 2"}
    | {f"Figure{s} {n}": "Section 5" for n in range(3, 11) for s in ("", "s")},
}
# The critique has no headings: its paragraphs in four steps.
STEPS = {
    "The two losses": ("first loss", "second loss", "second paragraph", "assumptions"),
    "The gradient": (
        *("linear G step", "derivative of Z", "combined gradient"),
        *("gradient expansion", "after the expansion"),
    ),
    "What follows": (
        *("end-to-end paragraph", "paragraph on section 3.1", "conclusion"),
        *("comparison with input mixup", "class-conditional manifold paragraph"),
    ),
    "The open question": ("mystery paragraph", "last paragraph"),
}
_KINDS = ("Abstract", *STEPS, "Section", "Appendix", "Supplement")


def section_of(source: str, location: str) -> str:
    """The section of a text that a location belongs to, for grouping.

    Example:
        >>> section_of("Manifold Mixup v1", "section 4.3, Table 5")
        'Section 4.3'
        >>> section_of("Manifold Mixup v1", "Table 1 caption")
        'Section 4.1'
    """
    step = next((name for name, places in STEPS.items() if location in places), None)
    if step:
        return step
    named = re.match(r"(abstract|section|appendix|supplement)s?(?: ([A-Z]|[\d.]+))?", location)
    if named:
        return f"{named[1].capitalize()} {named[2] or ''}".strip()
    figure = re.match(r"(?:Figure|Table)s? \d+", location)
    return HOME.get(source, {}).get(figure[0] if figure else "", "Abstract")


def reading_order(section: str) -> tuple[int, str]:
    """A key that sorts sections as they stand in a text."""
    kind = next((i for i, kind in enumerate(_KINDS) if section.startswith(kind)), len(_KINDS))
    return kind, section


def slug(words: str) -> str:
    """Words as part of an address.

    Example:
        >>> slug("Section 4.1"), slug("TL;DR")
        ('section-4-1', 'tl-dr')
    """
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def place(source: str, words: str) -> str:
    """The anchor of a section or item of a text: ``v1-section-4-1``."""
    return f"{SLUGS[source]}-{slug(words)}"
