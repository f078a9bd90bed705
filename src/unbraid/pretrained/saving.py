"""Write a trained model into a folder to pass on: weights, settings, scores and model card."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from unbraid import workflow
from unbraid.data.load import PATHS
from unbraid.evaluation.scores import read_scores
from unbraid.files import whole_folder, write_atomically
from unbraid.io import StoredType, load_model, save_model, stored_weights
from unbraid.models.base import SequenceModel
from unbraid.pretrained.card import write_card
from unbraid.registry import DATASETS
from unbraid.remarks import remark
from unbraid.training import open_run
from unbraid.training.run import load_run_data, read_config

__all__ = ["save_pretrained"]


def save_pretrained(
    model: SequenceModel,
    folder: str | Path,
    dtype: StoredType = "float32",
    licence: str | None = None,
    name: str | None = None,
) -> Path:
    """Write a model into a new folder to pass on, with the settings and scores of the run that trained it.

    `unbraid.from_pretrained(folder)` loads it, and every command that takes a run takes the folder. Paths of the machine
    are left out of the settings: a file or folder of data keeps its last name alone. Where the stored weights differ from
    those of the run (bfloat16 rounds them), the protocols of the run score them anew, on the run's data; where the data
    are not there any more the folder has no scores, which is said.

    Args:
        model: from a run (`unbraid.open_run(RUN).model`, `unbraid.fit(...).model`) or `unbraid.from_pretrained`. One that
            was built and trained otherwise is written without settings of data and training, and without scores.
        folder: must not exist, or be empty.
        dtype: of the weights in the file; bfloat16 halves it.
        licence: of the weights, as the Hugging Face Hub writes it (`apache-2.0`); None leaves it open.
        name: under which others will load it, `user/name`; it stands in the examples of the model card.

    Returns:
        The folder.

    Raises:
        FileExistsError: the folder holds something.
    """
    folder = Path(folder)
    with whole_folder(folder, "folder") as partial:
        save_model(model, partial / "model", dtype)
        run = model.folder
        if run is not None and (run / "config.yaml").is_file():
            _copy_run(run, partial)
            if _same_weights(partial, run):
                if (run / "evaluation").is_dir():
                    shutil.copytree(run / "evaluation", partial / "evaluation")
            else:
                _score_anew(run, partial)
        write_card(partial, licence, name)
    return folder


def _copy_run(run: Path, folder: Path) -> None:
    """Copy what says how a run was trained and what its model reads, without the paths of the machine."""
    config = read_config(run)
    config = without_places(config)
    write_atomically(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    shutil.copy(run / "environment.json", folder / "environment.json")
    if (run / "model" / "features.json").is_file():
        shutil.copy(run / "model" / "features.json", folder / "model" / "features.json")


def without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without paths of the machine: of the data, the recipe and the model that training started from, the last part stays."""
    data, training = config["data"], config["training"]
    name = data["name"] if data["name"] in DATASETS else Path(data["name"]).name
    clean = {**config, "data": {**data, "name": name, **{place: None for place in PATHS if place in data}}}
    if training.get("start_from"):
        clean["training"] = {**training, "start_from": _last_part(training["start_from"])}
    recipe = str(config.get("recipe", ""))
    if recipe.startswith("from "):  # a recipe of `recipe_from_run`
        clean["recipe"] = f"from {_last_part(recipe.removeprefix('from '))}"
    elif recipe.endswith((".yaml", ".yml")):
        clean["recipe"] = Path(recipe).name
    return clean


def _last_part(text: str) -> str:
    """The last part of a path; the name of a pretrained model as it is."""
    path = Path(text).expanduser()
    return path.name if path.is_absolute() or path.exists() else text


def _same_weights(folder: Path, run: Path) -> bool:
    """Whether two folders hold the same weights, as they are after loading."""
    first, second = (stored_weights(load_model(place)) for place in (folder, run))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _score_anew(run: Path, folder: Path) -> None:
    """Score the model in `folder` by the protocols of a run, on the run's data."""
    names = list(read_scores(run))
    if not names:
        return
    stored = open_run(folder)
    try:
        data = load_run_data(read_config(run))
        errors = workflow.score(stored, data, names)
    except (FileNotFoundError, ValueError) as error:
        errors = dict.fromkeys(names, error)
    for name, reason in errors.items():
        remark(
            f"{run}: its scores by {name} do not hold for the stored weights, which are not scored anew ({reason})"
        )
