"""Leakage: how well classifiers predict each label from each code."""

from pathlib import Path

from unbraid import plots
from unbraid.evaluation.scores import Scores
from unbraid.report.blocks import Block, Heading, all_figures, drawn

__all__ = ["headline", "section"]

BARS = (
    "Held-out accuracy of three classifiers, averaged. A bar in full colour should be long; a pale one should end at the "
    "black tick, the share of the most frequent class: anything beyond has leaked into that code."
)


def headline(scores: Scores) -> str:
    """Nothing: its figures need their table."""
    return ""


def section(scores: Scores, folder: Path) -> list[Block]:
    """Bars of the classifiers, and every figure."""
    blocks: list[Block] = []
    if scores.get("latent", {}).get("static"):
        picture = drawn(plots.plot_leakage(scores), "accuracy of each label from each code", BARS)
        blocks = [Heading("What can be predicted from each code"), picture]
    return blocks + all_figures("leakage", scores)
