"""A run's pictures, and its report: one HTML file with everything in it, which opens anywhere."""

import base64
import csv
import html
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from unbraid import plots
from unbraid.data.base import Sequences
from unbraid.evaluation import figures, read_scores
from unbraid.io import load_model, write_atomically
from unbraid.models.base import SequenceModel
from unbraid.registry import list_datasets
from unbraid.report_audio import GRID, make_sounds
from unbraid.report_series import SERIES_PICTURES, drawn_as_series, make_series
from unbraid.report_video import VIDEO_PICTURES, make_clips

__all__ = ["make_pictures", "write_report"]

CLIPS = 6  # clips in a swap grid


def make_pictures(model: SequenceModel, data: Sequences, folder: str | Path, *, seed: int = 0) -> Path:
    """Draw what a model does with clips of the test split, into `folder/pictures`.

    Which, say `report_video.make_clips`, `report_series.make_series` and `report_audio.make_sounds`.

    Args:
        model: a trained model that encodes and decodes.
        data: its data set; clips come from `test`, or from all where that has fewer than two.
        folder: the run's folder.
        seed: of the choice of clips and of what is drawn.

    Returns:
        The folder of the pictures.
    """
    clips = data.split("test") if len(data.splits.get("test", ())) > 1 else data
    if clips.sound is not None:
        recordings = clips.take(np.array([rows[0] for rows in clips.recordings]))
        return make_sounds(model, clips, list(_varied_rows(recordings, GRID, seed)), folder, seed=seed)
    if drawn_as_series(clips):
        return make_series(model, clips, _varied_rows(clips, CLIPS, seed), folder, seed=seed)
    return make_clips(model, clips, data, _varied_rows(clips, CLIPS, seed), folder, seed=seed)


def write_report(run_folder: str | Path, data: Sequences | None = None) -> Path:
    """Write `RUN/report.html` from what the run's folder holds; what is missing is left out.

    Args:
        run_folder: the run's folder.
        data: the run's data set, to draw the pictures again; None to use those that are there.

    Raises:
        FileNotFoundError: the folder holds no run.
    """
    folder = Path(run_folder)
    if not (folder / "config.yaml").exists():
        raise FileNotFoundError(
            f"{folder}: holds no config.yaml; give the folder of a run of `unbraid train`"
        )
    if data is not None:
        make_pictures(load_model(folder), data, folder)
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    environment = _json(folder / "environment.json")
    every = read_scores(folder)
    scores = every.get("generation", {})
    title = f"{_name(config, 'model')} on {_name(config, 'data')}"
    parts = [
        f"<h1>{_text(title)}</h1>",
        f"<p class='lead'>{_text(_headline(every))}</p>",
        _facts(environment, every),
        _sounds(folder),
        _picture(folder, "voices", "Every voice with all words", VOICES),
        _picture(folder, "swap", "Swaps", SWAP),
        _scores(scores),
        _confusion(scores),
        _picture(folder, "failures", "Where the judge sees something else", FAILED),
        _on_the_way(scores),
        _leakage(every.get("leakage", {})),
        _downstream(every.get("downstream", {})),
        _verification(every.get("verification", {})),
        *[
            _figures(name, found)
            for name, found in every.items()
            if name not in ("generation", "downstream", "verification")
        ],
        *[_picture(folder, name, heading, caption) for name, heading, caption in _pictures(folder)],
        _training(folder),
        _information(folder, config, environment),
        _settings(config, environment),
        _how_to_repeat(folder, config),
    ]
    body = "\n".join(part for part in parts if part)
    page = PAGE.format(title=_text(title), style=STYLE, body=body)
    write_atomically(folder / "report.html", page)
    return folder / "report.html"


# ---- pictures -------------------------------------------------------------------------------------------


def _varied_rows(clips: Sequences, count: int, seed: int) -> np.ndarray:
    """Rows drawn at random, but of different motions and contents as far as the labels tell."""
    order = np.random.default_rng(seed).permutation(len(clips))
    if len(order) <= count or not clips.heads:
        return order[:count]
    numbers = np.stack([label.values for label in clips.heads.values()], 1)
    dynamic = np.array([label.kind == "dynamic" for label in clips.heads.values()])
    chosen: list[int] = []
    for _ in range(count):
        # How much each clip has in common with those chosen; a shared motion counts most.
        shared = sum(((numbers == numbers[row]) * np.where(dynamic, 10, 1)).sum(1) for row in chosen)
        cost = np.zeros(len(clips)) + shared
        cost[chosen] = np.inf
        chosen.append(int(order[np.argmin(cost[order])]))
    return np.array(chosen)


# ---- the page -------------------------------------------------------------------------------------------

SWAP = (
    "Every clip in a row should show the figure at its left; every clip in a column should move like the one at "
    "its top. The originals of the test split are in the first row and column, all else is generated."
)
FAILED = (
    "Swapped clips in which the judge is surest of another class than that of the clip that should give it. Each is "
    "drawn beside the two clips that it is made of."
)
VOICES = (
    "Spectrograms, low bands at the bottom. All in a row should be one voice, that of the recording at its left; all in "
    "a column should say the same, what the recording at its top says. All have one colour scale."
)
HEARD = (
    "The spectrogram of each recording, of what the model makes of its own two codes, and of its words with the static "
    "code of the other recording. Sounds are made of spectrograms by Griffin and Lim's method, those of the "
    "originals as well: how rough they are says nothing of the model. Each is as loud as the others, and coloured from "
    "its own loudest down by 60 dB."
)
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


def _headline(every: Mapping[str, Any]) -> str:
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


def _facts(environment: Mapping[str, Any], every: Mapping[str, Any]) -> str:
    facts = []
    if "seconds" in environment:
        facts.append(
            f"trained in {environment['seconds'] / 60:.1f} min on {environment.get('device', 'cpu')}"
        )
    if "parameters" in environment:
        facts.append(f"{environment['parameters']:,} parameters")
    if protocol := every.get("generation", {}).get("protocol"):
        facts.append(f"scored on {protocol['clips']:,} clips of the {protocol['split']} split")
        facts.append(f"{protocol['repeats']} repeats, seed {protocol['seed']}")
    return f"<p class='facts'>{_text(' · '.join(facts))}</p>" if facts else ""


def _figures(protocol: str, scores: Mapping[str, Any]) -> str:
    """Every figure of a protocol, and how they came about."""
    rows = [
        [
            path,
            _figure(figure, False),
            "" if (floor := figure.get("floor")) is None else _number(floor, False),
        ]
        for path, figure in figures(scores).items()
    ]
    how = " · ".join(f"{key} {value}" for key, value in scores.get("protocol", {}).items())
    table = _table(["", "mean ± std over repeats", "floor"], rows)
    return f"<h2>Scores: {_text(protocol)}</h2>\n<p class='facts'>{_text(how)}</p>\n{table}"


def _scores(scores: Mapping[str, Any]) -> str:
    if not scores:
        return ""
    rows = [
        [
            name,
            _figure(scores[key], share),
            _number(scores[key]["floor"], share),
            what.format(kept=_kept(scores)),
        ]
        for key, (name, what, share) in FIGURES.items()
        if key in scores
    ]
    out = ["<h2>Scores</h2>", _table(["", "mean ± std", "floor", ""], rows)]
    tests = [name for name in TESTS if name in scores]
    if tests:
        image = _embedded(_png(plots.plot_scores(scores)), "png", "bars of the scores beside their floors")
        caption = (
            "How often a judge recognises each label of the original. A bar in full colour should be long; a pale "
            "one should end at its floor, the black tick: there the code that was exchanged carries no trace of it."
        )
        out.append(f"<figure>{image}<figcaption>{caption}</figcaption></figure>")
        rows = [
            [name, *[_figure(scores[test][name], True) for test in tests],
             _figure(scores["judge"]["accuracy"][name], True), _number(label["chance"], True)]
            for name, label in scores["labels"].items()
        ]  # fmt: skip
        out.append(_table(["label", *[TESTS[test] for test in tests], "judge on real clips", "floor"], rows))
        if not scores["judge"]["trusted"]:
            out.append(
                "<p class='warning'>The judge is below 99% on real clips: read these scores with care.</p>"
            )
    return "\n".join(out)


def _image(figure: Any, description: str, caption: str) -> str:
    return f"<figure>{_embedded(_png(figure), 'png', description)}<figcaption>{caption}</figcaption></figure>"


def _confusion(scores: Mapping[str, Any]) -> str:
    """What swapped clips are taken for."""
    matrices = scores.get("confusion", {})
    if not matrices:
        return ""
    caption = (
        "Shares of the swapped clips of each class, in percent, that the judge takes for each class. Everything should "
        "lie on the diagonal."
    )
    images = [
        _image(plots.plot_confusion(one["counts"], one["classes"], name), f"confusion of {name}", caption)
        for name, one in matrices.items()
    ]
    return "<h2>What swapped clips are taken for</h2>\n" + "\n".join(images)


def _on_the_way(scores: Mapping[str, Any]) -> str:
    """What the judge sees between two static codes."""
    if "interpolation" not in scores:
        return ""
    caption = (
        "The static code goes from a clip's own to its partner's, the dynamics stay. A dynamic label should be seen as "
        "in the clip itself all the way; a static one should pass from the clip's to the partner's. Dots: chance."
    )
    figure = _image(plots.plot_interpolation_scores(scores), "labels along the way", caption)
    return f"<h2>On the way from one content to another</h2>\n{figure}"


def _leakage(scores: Mapping[str, Any]) -> str:
    """What classifiers read from each code."""
    if not scores.get("latent", {}).get("static"):
        return ""
    caption = (
        "Held-out accuracy of three classifiers, averaged. A bar in full colour should be long; a pale one should end "
        "at the black tick, the share of the most frequent class: what it has beyond has leaked into that code."
    )
    figure = _image(plots.plot_leakage(scores), "labels read from the codes", caption)
    return f"<h2>What can be read from each code</h2>\n{figure}"


def _pictures(folder: Path) -> tuple[tuple[str, str, str], ...]:
    return SERIES_PICTURES if (folder / "pictures" / "series.png").exists() else VIDEO_PICTURES


def _told(tasks: Mapping[str, Any]) -> str:
    """What both codes tell, in plain words: each task's first figure beside its floor."""
    said = []
    for name, task in tasks.items():
        wanted = "skill" if task["kind"] == "target" else next(iter(task["floors"]["constant"]))
        figure = task["codes"]["both"]["linear"][wanted]
        words = f"{name.replace('_', ' ')} {_number(figure['mean'], False)} (floor {_number(figure['floor'], False)})"
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


def _verification(scores: Mapping[str, Any]) -> str:
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
         _number(found["static_eer"]["floor"], True), f"{found.get('pairs', about['pairs']):,}"]
        for name, found in tests.items() if found
    ]  # fmt: skip
    head = ["equal error rate", "static code", "dynamic code", "gap", "floor", "pairs"]
    out = [
        "<h2>Verification</h2>",
        f"<p class='facts'>{about['recordings']:,} recordings of {about['speakers']} {_text(labels['speaker'])}s of the "
        f"{about['split']} split · brackets: 95% of {about['resamples']} resamples of the {_text(labels['speaker'])}s</p>",
        _table(head, rows),
    ]
    probes = [
        [
            f"{labels[kind]}, from {READ[form]}",
            *[_number(figure[key], True) for key in ("mean", "floor", "chance")],
        ]
        for kind, forms in scores["probe"].items()
        for form, figure in forms.items()
    ]
    if probes:
        out.append(_table(["read rightly", "", "from the features", "chance"], probes))
    out.append(f"<figcaption>{_text(VERIFICATION)}</figcaption>")
    for name, why in scores["left_out"].items():
        out.append(f"<p class='warning'>{_text(name)} is not scored: {_text(why)}.</p>")
    return "\n".join(out)


def _with_interval(figure: Mapping[str, Any]) -> str:
    interval = figure.get("interval")
    between = f" [{_number(interval[0], True)}, {_number(interval[1], True)}]" if interval else ""
    return _number(figure["mean"], True) + between


def _downstream(scores: Mapping[str, Any]) -> str:
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
        image = _embedded(_png(plots.plot_downstream(task, name)), "png", f"figures of {name} beside floors")
        out.append(f"<h3>{_text(name.replace('_', ' '))}</h3>\n<figure>{image}</figure>")
        out.append(_downstream_table(task))
    if scores["tasks"]:
        out.append(f"<figcaption>{_text(DOWNSTREAM)}</figcaption>")
    for name, why in scores["left_out"].items():
        out.append(f"<p class='warning'>{_text(name)} is not scored: {_text(why)}.</p>")
    return "\n".join(out)


def _downstream_table(task: Mapping[str, Any]) -> str:
    figures = list(task["floors"]["constant"])

    def cells(found: Mapping[str, Any]) -> list[str]:
        return [
            f"{_figure(found[name], False)} [{_number(found[name]['low'], False)}, {_number(found[name]['high'], False)}]"
            for name in figures
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
    return _table(["", *[plots.DOWNSTREAM_FIGURES[name] for name in figures]], rows + floors)


def _figure(figure: Mapping[str, float], share: bool) -> str:
    spread = f" ± {_number(figure['std'], share)}" if figure.get("std") else ""
    return _number(figure["mean"], share) + spread


def _number(value: float, share: bool) -> str:
    return f"{value:.1%}" if share else f"{value:.4g}"


def _picture(folder: Path, name: str, heading: str, caption: str) -> str:
    """A picture with its caption; the one that moves first, where there is one."""
    images = [
        _embedded(path.read_bytes(), kind, heading)
        for kind in ("gif", "png")
        if (path := folder / "pictures" / f"{name}.{kind}").exists()
    ]
    if not images:
        return ""
    return f"<h2>{heading}</h2>\n<figure>{''.join(images)}<figcaption>{_text(caption)}</figcaption></figure>"


def _sounds(folder: Path) -> str:
    """Pairs of recordings that exchange their voices, with a player under each spectrogram."""
    index = folder / "sounds" / "sounds.json"
    if not index.exists():
        return ""
    parts = ["<h2>Voices exchanged</h2>"]
    for pair in json.loads(index.read_text(encoding="utf-8")):
        parts.append(_embedded((folder / "pictures" / pair["picture"]).read_bytes(), "png", "spectrograms"))
        players = [_player(folder / "sounds" / one["file"], one["caption"]) for one in pair["sounds"]]
        parts.append(f"<div class='players'>{''.join(players)}</div>")
    return "\n".join([parts[0], "<figure>", *parts[1:], f"<figcaption>{_text(HEARD)}</figcaption></figure>"])


def _player(path: Path, caption: str) -> str:
    code = base64.b64encode(path.read_bytes()).decode("ascii")
    return (
        f"<div><audio controls src='data:audio/wav;base64,{code}'></audio><span>{_text(caption)}</span></div>"
    )


def _training(folder: Path) -> str:
    path = folder / "metrics.csv"
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []
    if not rows:
        return ""
    image = _embedded(_png(plots.plot_training(rows)), "png", "curves of the objective and its terms")
    caption = "Unweighted terms over the training steps, and the weights that they were given."
    return f"<h2>Training</h2>\n<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _information(folder: Path, config: Mapping[str, Any], environment: Mapping[str, Any]) -> str:
    """Mutual information of the codes during training, where it was tracked."""
    if not config.get("training", {}).get("track_information"):
        return ""
    rows = list(csv.DictReader((folder / "metrics.csv").read_text(encoding="utf-8").splitlines()))
    if not any(row["split"] == "validation" for row in rows):
        return ""
    sizes = environment["sequences"]["train"], config["training"]["batch_size"]
    caption = (
        "Estimated on validation by minibatch weighted sampling: it begins at the lower dotted line where codes tell "
        "nothing and ends at the upper one where all sequences are told apart. I(s; x) should rise; I(s; d) should fall "
        "after an early rise."
    )
    figure = _image(plots.plot_information(rows, *sizes), "curves of mutual information", caption)
    return f"<h2>Information in the codes</h2>\n{figure}"


def _settings(config: Mapping[str, Any], environment: Mapping[str, Any]) -> str:
    rows = [
        row
        for part, values in config.items()
        for row in (
            [[f"{part}.{k}", v] for k, v in values.items()] if isinstance(values, dict) else [[part, values]]
        )
    ]
    out = "<h2>Settings</h2>\n" + _table([], rows)
    if environment:
        out += "\n<h2>Environment</h2>\n" + _table([], [[k, v] for k, v in environment.items()])
    return out


def _how_to_repeat(folder: Path, config: Mapping[str, Any]) -> str:
    settings = yaml.safe_dump({part: v for part, v in config.items() if part != "recipe"}, sort_keys=False)
    data = _name(config, "data")
    commands = f"unbraid resume {folder}\nunbraid evaluate {folder}"
    again = "pass the same arrays and the settings below to <code>unbraid.fit</code>"
    if data in list_datasets() or Path(data).exists():
        commands = f"unbraid train run.yaml\n{commands}"
        again = "save the settings below as <code>run.yaml</code> and train on them"
    return (
        f"<h2>How to repeat this run</h2>\n<p>To train it again, {again}. It can be resumed where it was stopped, "
        f"and scored again.</p>\n<pre>{_text(commands)}</pre>\n"
        f"<details><summary>run.yaml</summary><pre>{_text(settings)}</pre></details>"
    )


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _name(config: Mapping[str, Any], part: str) -> str:
    found = config.get(part, {})
    return str(found.get("name", part)) if isinstance(found, Mapping) else str(found)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _embedded(data: bytes, kind: str, description: str) -> str:
    code = base64.b64encode(data).decode("ascii")
    return f'<img alt="{_text(description)}" src="data:image/{kind};base64,{code}">'


def _table(head: list[str], rows: list[list[Any]]) -> str:
    top = "<tr>" + "".join(f"<th>{_text(cell)}</th>" for cell in head) + "</tr>\n" if head else ""
    body = "\n".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='wide'><table>\n{top}{body}\n</table></div>"


def _text(value: Any) -> str:
    return html.escape(value if isinstance(value, str) else json.dumps(value, default=str))


STYLE = """
:root { color-scheme: light dark; --ink: #22262b; --quiet: #6b7280; --line: #e3e6ea; --paper: #fff; --box: #f6f7f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --quiet: #9aa3ad; --line: #333a42; --paper: #16191d; --box: #1f242a; } }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.9rem; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 2.8rem 0 .8rem; }
h3 { font-size: 1rem; margin: 1.8rem 0 .5rem; }
.lead { font-size: 1.15rem; max-width: 46rem; margin: .5rem 0; } .facts, figcaption { color: var(--quiet); }
figure { margin: 0; } figure img { display: block; max-width: 100%; height: auto; margin: 0 0 .8rem;
  background: #fff; border-radius: 6px; } figcaption { max-width: 46rem; font-size: .93rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; margin: .6rem 0 1rem; }
th { font-weight: 600; color: var(--quiet); } th, td { text-align: left; padding: .32rem 1.1rem .32rem 0;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; vertical-align: top; }
pre { background: var(--box); padding: .9rem 1.1rem; border-radius: 6px; overflow-x: auto; }
.warning { color: #b4482d; }
.players { display: grid; grid-template-columns: repeat(3, 1fr); gap: .5rem 1rem; margin: 0 0 2.2rem; }
.players audio { display: block; width: 100%; height: 2.2rem; } .players span { color: var(--quiet); font-size: .85rem; }
"""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
