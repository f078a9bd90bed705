"""A run's pictures, and its report: one HTML file with everything in it, which opens anywhere."""

import base64
import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from unbraid import plots
from unbraid.data.sequences import Sequences
from unbraid.evaluation import read_scores
from unbraid.files import write_atomically
from unbraid.io import load_model
from unbraid.models.base import SequenceModel
from unbraid.registry import list_datasets
from unbraid.report.frames import VIDEO_PICTURES, make_clips
from unbraid.report.html import PAGE, STYLE, embedded, image, table, text
from unbraid.report.scores import (
    all_figures,
    confusion_section,
    downstream_section,
    generation_section,
    headline,
    interpolation_section,
    leakage_section,
    verification_section,
)
from unbraid.report.series import SERIES_PICTURES, drawn_as_series, make_series
from unbraid.report.sounds import GRID, make_sounds

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
        f"<h1>{text(title)}</h1>",
        f"<p class='lead'>{text(headline(every))}</p>",
        _facts(environment, every),
        _sounds(folder),
        _picture(folder, "voices", "Every voice with all words", VOICES),
        _picture(folder, "swap", "Swaps", SWAP),
        generation_section(scores),
        confusion_section(scores),
        _picture(folder, "failures", "Where the judge sees something else", FAILED),
        interpolation_section(scores),
        leakage_section(every.get("leakage", {})),
        downstream_section(every.get("downstream", {})),
        verification_section(every.get("verification", {})),
        *[
            all_figures(name, found)
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
    page = PAGE.format(title=text(title), style=STYLE, body=body)
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
    return f"<p class='facts'>{text(' · '.join(facts))}</p>" if facts else ""


def _pictures(folder: Path) -> tuple[tuple[str, str, str], ...]:
    return SERIES_PICTURES if (folder / "pictures" / "series.png").exists() else VIDEO_PICTURES


def _picture(folder: Path, name: str, heading: str, caption: str) -> str:
    """A picture with its caption; the one that moves first, where there is one."""
    images = [
        embedded(path.read_bytes(), kind, heading)
        for kind in ("gif", "png")
        if (path := folder / "pictures" / f"{name}.{kind}").exists()
    ]
    if not images:
        return ""
    return f"<h2>{heading}</h2>\n<figure>{''.join(images)}<figcaption>{text(caption)}</figcaption></figure>"


def _sounds(folder: Path) -> str:
    """Pairs of recordings that exchange their voices, with a player under each spectrogram."""
    index = folder / "sounds" / "sounds.json"
    if not index.exists():
        return ""
    parts = ["<h2>Voices exchanged</h2>"]
    for pair in json.loads(index.read_text(encoding="utf-8")):
        parts.append(embedded((folder / "pictures" / pair["picture"]).read_bytes(), "png", "spectrograms"))
        players = [_player(folder / "sounds" / one["file"], one["caption"]) for one in pair["sounds"]]
        parts.append(f"<div class='players'>{''.join(players)}</div>")
    return "\n".join([parts[0], "<figure>", *parts[1:], f"<figcaption>{text(HEARD)}</figcaption></figure>"])


def _player(path: Path, caption: str) -> str:
    code = base64.b64encode(path.read_bytes()).decode("ascii")
    return (
        f"<div><audio controls src='data:audio/wav;base64,{code}'></audio><span>{text(caption)}</span></div>"
    )


def _training(folder: Path) -> str:
    path = folder / "metrics.csv"
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []
    if not rows:
        return ""
    caption = "Unweighted terms over the training steps, and the weights that they were given."
    figure = image(plots.plot_training(rows), "curves of the objective and its terms", caption)
    return f"<h2>Training</h2>\n{figure}"


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
    figure = image(plots.plot_information(rows, *sizes), "curves of mutual information", caption)
    return f"<h2>Information in the codes</h2>\n{figure}"


def _settings(config: Mapping[str, Any], environment: Mapping[str, Any]) -> str:
    rows = [
        row
        for part, values in config.items()
        for row in (
            [[f"{part}.{k}", v] for k, v in values.items()] if isinstance(values, dict) else [[part, values]]
        )
    ]
    out = "<h2>Settings</h2>\n" + table([], rows)
    if environment:
        out += "\n<h2>Environment</h2>\n" + table([], [[k, v] for k, v in environment.items()])
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
        f"and scored again.</p>\n<pre>{text(commands)}</pre>\n"
        f"<details><summary>run.yaml</summary><pre>{text(settings)}</pre></details>"
    )


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _name(config: Mapping[str, Any], part: str) -> str:
    found = config.get(part, {})
    return str(found.get("name", part)) if isinstance(found, Mapping) else str(found)
