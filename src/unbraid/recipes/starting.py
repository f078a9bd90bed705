"""The settings of a training that starts from a trained model: those of its run, with other data.

Training is imported where it is needed, so that recipes are listed at once.
"""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unbraid.data.load import option_names
from unbraid.recipes.reading import Recipe

if TYPE_CHECKING:
    from unbraid.data.features import Features

__all__ = ["recipe_from_run"]

NOT_KEPT = ("name", "root", "cache", "labels", "outcomes", "scaling")  # data settings of the old data alone


def recipe_from_run(run: str, path: str | None = None, scaling: Literal["keep", "learn"] = "keep") -> Recipe:
    """The recipe of a training that starts from the model of a run, with the run's settings.

    Of the settings of the data those are kept that the new data have too, as the size of frames or the columns of a table.

    Args:
        run: folder of a run, or name of a pretrained model.
        path: of the new data, or name of a data set; None for the run's own.
        scaling: of features, of the new data: "keep" that of the run, or "learn" it anew.

    Raises:
        ValueError: another word for `scaling`.
        FileNotFoundError: there is no such run, or no such data.
    """
    from unbraid.pretrained.places import locate
    from unbraid.training.run_folder import read_config

    if scaling not in ("keep", "learn"):
        raise ValueError(f"scaling: {scaling!r} must be keep or learn")
    folder = locate(run)
    config = read_config(folder)
    data = config["data"]
    if path is not None:
        options = option_names(path)
        kept = {name: value for name, value in data.items() if name in options and name not in NOT_KEPT}
        features = _features(folder)
        data = {"name": path, **kept, **_same_columns(features, options, kept)}
        if scaling == "keep" and features is not None and features.scaling is not None:
            data["scaling"] = features.scaling.to_json()
    start = str(folder.resolve()) if Path(run).expanduser().exists() else run
    training = {name: value for name, value in config["training"].items() if name != "start_sha256"}
    about = f"Starts from the weights of {run}, with its settings."
    return Recipe(f"from {run}", about, data, config["model"], training | {"start_from": start})


def _features(folder: Path) -> "Features | None":
    from unbraid.io import load_features

    with contextlib.suppress(FileNotFoundError):
        return load_features(folder)
    return None


def _same_columns(features: "Features | None", options: list[str], kept: dict[str, Any]) -> dict[str, Any]:
    """Columns and time step of a table, as the run's table has them."""
    same: dict[str, Any] = {}
    if features is not None and features.sound is None and "features" in options:
        same["features"] = list(features.names)
    if features is not None and "step" in options and features.sampling_rate and not kept.get("step"):
        same["step"] = f"{round(1e6 / features.sampling_rate)}us"
    return same
