"""Verification: equal error rates of both codes, and content and speaker predicted from them."""

from pathlib import Path

from unbraid.evaluation.scores import Figure, Scores
from unbraid.report.blocks import Block, Cells, Heading, Paragraph, figure_cell, left_out, number

__all__ = ["headline", "section"]

FORMS = {
    "static": "the static code",
    "dynamic_mean": "the mean of the dynamic code",
    "dynamic_parts": "four parts of the dynamic code in order",
}
CAPTION = (
    "Low is good for the static code, high for the dynamic one: 50% means that it holds no trace of the speaker. A code "
    "without any information is at 50% as well, so what is said is predicted from it too. The floors are the same tests on "
    "the features themselves, averaged over the recording, or over four parts of it."
)


def headline(scores: Scores) -> str:
    """How well both codes separate speakers, and how well what is said can be predicted."""
    static, dynamic = scores["static_eer"], scores["dynamic_eer"]
    sentence = (
        f"The static code separates speakers with an equal error rate of {static['mean']:.1%} (the features themselves "
        f"{static['floor']:.1%}), the dynamic code with {dynamic['mean']:.1%} (50%: no trace of the speaker)."
    )
    if content := scores["probe"].get("content"):
        sentence += (
            f" What is said is predicted correctly from the dynamic code in {content['dynamic_parts']['mean']:.1%}, from "
            f"the static code in {content['static']['mean']:.1%} (chance {content['static']['chance']:.1%})."
        )
    return sentence


def section(scores: Scores, folder: Path) -> list[Block]:
    """The equal error rates on all pairs and on parts of them, and the predictions from the codes."""
    how, labels = scores["protocol"], scores["labels"]
    pairs = {
        "all pairs": scores,
        "the same content": scores.get("same_content"),
        "different content": scores.get("different_content"),
    }
    rows = [
        [
            name,
            *(
                figure_cell(Figure.from_json(part[rate]), True)
                for rate in ("static_eer", "dynamic_eer", "gap")
            ),
            number(part["static_eer"]["floor"], True),
            f"{part.get('pairs', how['pairs']):,}",
        ]
        for name, part in pairs.items()
        if part
    ]
    facts = (
        f"{how['recordings']:,} recordings of {how['speakers']} {labels['speaker']}s of the {how['split']} split · "
        f"brackets: 95% of {how['resamples']} resamples of the {labels['speaker']}s"
    )
    blocks: list[Block] = [
        Heading("Verification"),
        Paragraph(facts, "facts"),
        Cells(["equal error rate", "static code", "dynamic code", "gap", "floor", "pairs"], rows),
    ]
    probes = [
        [
            f"{labels[kind]}, from {FORMS[form]}",
            *(number(figure[key], True) for key in ("mean", "floor", "chance")),
        ]
        for kind, forms in scores["probe"].items()
        for form, figure in forms.items()
    ]
    if probes:
        blocks.append(Cells(["predicted correctly", "", "from the features", "chance"], probes))
    return [*blocks, Paragraph(CAPTION, "caption"), *left_out(scores)]
