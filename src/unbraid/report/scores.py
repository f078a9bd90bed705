"""What a report says of each protocol's scores, beside their floors."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from unbraid import plots
from unbraid.evaluation import figures
from unbraid.report.html import embedded, image, mean_and_std, number, png, table, text

__all__ = [
    "all_figures",
    "confusion_section",
    "downstream_section",
    "generation_section",
    "headline",
    "interpolation_section",
    "leakage_section",
    "verification_section",
]

VERIFICATION = (
    "Low is good for the static code, high for the dynamic one: 50% means that it holds no trace of who speaks. A useless "
    "code is at 50% as well, so it is also asked what is said. The floors are the same tests on the features themselves, "
    "averaged over the recording, or over four parts of it."
)
READ = {
    "static": "the static code",
    "dynamic_mean": "the mean of the dynamic code",
    "dynamic_parts": "four parts of the dynamic code in order",
}
READERS = ("linear", "network")
DOWNSTREAM = (
    "Readers are trained on the train split with the codes as input, chosen on validation, and scored once. Filled dots: "
    "the network; rings: logistic or ridge regression; grey: floors, which see no codes. The dashed line is the best of "
    "the plain floors; the network end to end on the raw series is not one of them."
)
TESTS = {
    "reconstruction": "reconstructed",
    "keep_dynamic": "dynamics kept, static drawn",
    "keep_static": "static kept, dynamics drawn",
    "swap": "swapped: right giver",
    "swap_leak": "swapped: wrong giver",
}
FIGURES = {
    "accuracy": ("Acc", "clips that keep {kept} when the other code is drawn", True),
    "inception_score": ("IS", "inception score: classes clear and varied", False),
    "entropy_conditional": ("H(y|x)", "nats; low: each class is clear", False),
    "entropy_marginal": ("H(y)", "nats; high: all classes occur", False),
    "squared_error_per_clip": (
        "Squared error",
        "of a reconstructed clip, summed over its values; low",
        False,
    ),
}


def headline(every: Mapping[str, Any]) -> str:
    """How well the split went, in plain words."""
    if not every:
        return "This run has not been scored yet: run `unbraid evaluate` on it."
    if "generation" not in every and every.get("downstream", {}).get("tasks"):
        return _told(every["downstream"]["tasks"])
    if "generation" not in every and "verification" in every:
        return _verified(every["verification"])
    if "generation" not in every:
        return f"Scored by {' and '.join(every)}; the figures stand beside their floors below."
    scores = every["generation"]
    if "keep_dynamic" not in scores:
        error = scores["squared_error_per_clip"]
        share = error["mean"] / error["floor"]
        return f"Without labels only reconstruction is scored: its squared error is {share:.1%} of the mean clip's."
    kinds = {name: label["kind"] for name, label in scores["labels"].items() if not label["part_of"]}
    static = [name for name, kind in kinds.items() if kind == "static"]
    said = []
    if "accuracy" in scores:
        drawn = "motion" if scores.get("scored", {}).get("kept") == "static" else "content"
        said.append(
            f"{scores['accuracy']['mean']:.1%} of the clips keep {_kept(scores)} when their {drawn} is drawn anew"
        )
    if static:
        found = _mean(scores["keep_dynamic"], static)
        said.append(
            f"what is left of the old content is recognised in {found[0]:.1%} (chance {found[1]:.1%})"
        )
    sentence = "; ".join(said) + "." if said else ""
    if static and "swap" in scores:
        right = _mean(scores["swap"], list(kinds))[0]
        sentence += f" In swaps, {right:.1%} of all labels come from the clip that should give them."
    return sentence[:1].upper() + sentence[1:]


def _kept(scores: Mapping[str, Any]) -> str:
    """What the headline scores look for."""
    if scores.get("scored", {}).get("kept") != "static":
        return "their motion"
    return "their " + " and ".join(scores["scored"]["labels"]).replace("_", " ")


def _mean(figures: Mapping[str, Any], names: list[str]) -> tuple[float, float]:
    means, floors = [figures[n]["mean"] for n in names], [figures[n]["floor"] for n in names]
    return float(np.mean(means)), float(np.mean(floors))


def all_figures(protocol: str, scores: Mapping[str, Any]) -> str:
    """Every figure of a protocol, and how they came about."""
    rows = [
        [
            path,
            mean_and_std(figure, False),
            "" if (floor := figure.get("floor")) is None else number(floor, False),
        ]
        for path, figure in figures(scores).items()
    ]
    how = " · ".join(f"{key} {value}" for key, value in scores.get("protocol", {}).items())
    whole = table(["", "mean ± std over repeats", "floor"], rows)
    return f"<h2>Scores: {text(protocol)}</h2>\n<p class='facts'>{text(how)}</p>\n{whole}"


def generation_section(scores: Mapping[str, Any]) -> str:
    """The scores of generated clips, and how often a judge sees each label."""
    if not scores:
        return ""
    rows = [
        [
            name,
            mean_and_std(scores[key], share),
            number(scores[key]["floor"], share),
            what.format(kept=_kept(scores)),
        ]
        for key, (name, what, share) in FIGURES.items()
        if key in scores
    ]
    out = ["<h2>Scores</h2>", table(["", "mean ± std", "floor", ""], rows)]
    tests = [name for name in TESTS if name in scores]
    if tests:
        caption = (
            "How often a judge recognises each label of the original. A bar in full colour should be long; a pale "
            "one should end at its floor, the black tick: there the code that was exchanged carries no trace of it."
        )
        out.append(image(plots.plot_scores(scores), "bars of the scores beside their floors", caption))
        rows = [
            [name, *[mean_and_std(scores[test][name], True) for test in tests],
             mean_and_std(scores["judge"]["accuracy"][name], True), number(label["chance"], True)]
            for name, label in scores["labels"].items()
        ]  # fmt: skip
        out.append(table(["label", *[TESTS[test] for test in tests], "judge on real clips", "floor"], rows))
        if not scores["judge"]["trusted"]:
            out.append(
                "<p class='warning'>The judge is below 99% on real clips: read these scores with care.</p>"
            )
    return "\n".join(out)


def confusion_section(scores: Mapping[str, Any]) -> str:
    """What swapped clips are taken for."""
    matrices = scores.get("confusion", {})
    if not matrices:
        return ""
    caption = (
        "Shares of the swapped clips of each class, in percent, that the judge takes for each class. Everything should "
        "lie on the diagonal."
    )
    images = [
        image(plots.plot_confusion(one["counts"], one["classes"], name), f"confusion of {name}", caption)
        for name, one in matrices.items()
    ]
    return "<h2>What swapped clips are taken for</h2>\n" + "\n".join(images)


def interpolation_section(scores: Mapping[str, Any]) -> str:
    """What the judge sees between two static codes."""
    if "interpolation" not in scores:
        return ""
    caption = (
        "The static code goes from a clip's own to its partner's, the dynamics stay. A dynamic label should be seen as "
        "in the clip itself all the way; a static one should pass from the clip's to the partner's. Dots: chance."
    )
    figure = image(plots.plot_interpolation_scores(scores), "labels along the way", caption)
    return f"<h2>On the way from one content to another</h2>\n{figure}"


def leakage_section(scores: Mapping[str, Any]) -> str:
    """What classifiers read from each code."""
    if not scores.get("latent", {}).get("static"):
        return ""
    caption = (
        "Held-out accuracy of three classifiers, averaged. A bar in full colour should be long; a pale one should end "
        "at the black tick, the share of the most frequent class: what it has beyond has leaked into that code."
    )
    figure = image(plots.plot_leakage(scores), "labels read from the codes", caption)
    return f"<h2>What can be read from each code</h2>\n{figure}"


def _told(tasks: Mapping[str, Any]) -> str:
    """What both codes tell, in plain words: each task's first figure beside its floor."""
    said = []
    for name, task in tasks.items():
        wanted = "skill" if task["kind"] == "target" else next(iter(task["floors"]["constant"]))
        figure = task["codes"]["both"]["linear"][wanted]
        words = f"{name.replace('_', ' ')} {number(figure['mean'], False)} (floor {number(figure['floor'], False)})"
        said.append(f"{words}, {plots.DOWNSTREAM_FIGURES[wanted]}")
    return "Told from both codes by a linear reader: " + "; ".join(said) + "."


def _verified(scores: Mapping[str, Any]) -> str:
    """How well voices are told apart, and what is said, in plain words."""
    static, dynamic = scores["static_eer"], scores["dynamic_eer"]
    said = (
        f"Voices are told apart by the static code with an equal error rate of {static['mean']:.1%} (by the features "
        f"themselves {static['floor']:.1%}), by the dynamic code with {dynamic['mean']:.1%} (no trace of them: 50%)."
    )
    if words := scores["probe"].get("content"):
        said += (
            f" What is said is read rightly from the dynamic code in {words['dynamic_parts']['mean']:.1%}, from the "
            f"static code in {words['static']['mean']:.1%} (chance {words['static']['chance']:.1%})."
        )
    return said


def verification_section(scores: Mapping[str, Any]) -> str:
    """The equal error rates of both codes on all pairs and on parts of them, and what is read from the codes."""
    if not scores:
        return ""
    about, labels = scores["protocol"], scores["labels"]
    tests = {
        "all pairs": scores,
        "the same said": scores.get("same_content"),
        "different things said": scores.get("different_content"),
    }
    rows = [
        [name, *[_with_interval(found[rate]) for rate in ("static_eer", "dynamic_eer", "gap")],
         number(found["static_eer"]["floor"], True), f"{found.get('pairs', about['pairs']):,}"]
        for name, found in tests.items() if found
    ]  # fmt: skip
    head = ["equal error rate", "static code", "dynamic code", "gap", "floor", "pairs"]
    out = [
        "<h2>Verification</h2>",
        f"<p class='facts'>{about['recordings']:,} recordings of {about['speakers']} {text(labels['speaker'])}s of the "
        f"{about['split']} split · brackets: 95% of {about['resamples']} resamples of the {text(labels['speaker'])}s</p>",
        table(head, rows),
    ]
    probes = [
        [
            f"{labels[kind]}, from {READ[form]}",
            *[number(figure[key], True) for key in ("mean", "floor", "chance")],
        ]
        for kind, forms in scores["probe"].items()
        for form, figure in forms.items()
    ]
    if probes:
        out.append(table(["read rightly", "", "from the features", "chance"], probes))
    out.append(f"<figcaption>{text(VERIFICATION)}</figcaption>")
    for name, why in scores["left_out"].items():
        out.append(f"<p class='warning'>{text(name)} is not scored: {text(why)}.</p>")
    return "\n".join(out)


def _with_interval(figure: Mapping[str, Any]) -> str:
    interval = figure.get("interval")
    between = f" [{number(interval[0], True)}, {number(interval[1], True)}]" if interval else ""
    return number(figure["mean"], True) + between


def downstream_section(scores: Mapping[str, Any]) -> str:
    """What readers tell from the codes, task by task, beside the floors."""
    if not scores:
        return ""
    about = scores["protocol"]
    drawn = "sequences" if about["groups"] == about["clips"] else "groups"
    out = [
        "<h2>What the codes tell</h2>",
        f"<p class='facts'>{about['clips']:,} sequences of the {about['split']} split · networks trained "
        f"{about['repeats']} times · brackets and lines: 95% of {about['resamples']} resamples of the "
        f"{about['groups']:,} {drawn}</p>",
    ]
    for name, task in scores["tasks"].items():
        picture = embedded(png(plots.plot_downstream(task, name)), "png", f"figures of {name} beside floors")
        out.append(f"<h3>{text(name.replace('_', ' '))}</h3>\n<figure>{picture}</figure>")
        out.append(_downstream_table(task))
    if scores["tasks"]:
        out.append(f"<figcaption>{text(DOWNSTREAM)}</figcaption>")
    for name, why in scores["left_out"].items():
        out.append(f"<p class='warning'>{text(name)} is not scored: {text(why)}.</p>")
    return "\n".join(out)


def _downstream_table(task: Mapping[str, Any]) -> str:
    names = list(task["floors"]["constant"])

    def cells(found: Mapping[str, Any]) -> list[str]:
        return [
            f"{mean_and_std(found[name], False)} [{number(found[name]['low'], False)}, {number(found[name]['high'], False)}]"
            for name in names
        ]

    rows = [
        [f"{words}, {reader}", *cells(task["codes"][part][reader])]
        for part, (words, _) in plots.DOWNSTREAM_PARTS.items()
        for reader in READERS
    ]
    floors = [
        [f"floor: {words}", *cells(task["floors"][floor])]
        for floor, words in plots.DOWNSTREAM_FLOORS.items()
        if floor in task["floors"]
    ]
    return table(["", *[plots.DOWNSTREAM_FIGURES[name] for name in names]], rows + floors)
