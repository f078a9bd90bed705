"""The model card of a pretrained model, made from its folder: recipe, data, scores beside floors, licence, citation, hash."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml

from unbraid import __version__
from unbraid.benchmark.method_pages import bibtex
from unbraid.benchmark.score_columns import figure_at, shared_columns
from unbraid.data.load import info
from unbraid.evaluation.scores import Figure, Scores, figures, read_scores
from unbraid.files import read_json, write_atomically
from unbraid.registry import DATASETS, model_class
from unbraid.training.environment import read_environment
from unbraid.training.run_folder import read_config

__all__ = ["write_card"]

CODES = ("static", "dynamic", "both")


def write_card(folder: str | Path, licence: str | None = None, name: str | None = None) -> Path:
    """Write `README.md`, the model card, from the other files of a pretrained model's folder.

    Args:
        folder: with `model/`, and of a run's model `config.yaml`, `environment.json` and `evaluation/`.
        licence: of the weights, as the Hugging Face Hub writes it; None leaves it open.
        name: under which the model is loaded, for the card's examples.
    """
    folder = Path(folder)
    model = read_json(folder / "model" / "model.json")
    of_run = (folder / "config.yaml").is_file()
    config = read_config(folder) if of_run else None
    data = config["data"]["name"] if config else None
    scores = read_scores(folder)
    text = _template().render(
        name=name or "user/name",
        licence=licence,
        method=model_class(model["model"]).card,
        bibtex=bibtex(model_class(model["model"]).card),
        model=model,
        bytes=(folder / "model" / "model.safetensors").stat().st_size,
        version=__version__,
        config=config,
        settings=yaml.safe_dump(config, sort_keys=False).strip() if config else None,
        environment=read_environment(folder) if of_run else None,
        parameters=read_environment(folder).get("parameters") if of_run else None,
        data=data,
        data_card=info(data) if data in DATASETS else None,
        protocols={protocol: scores[protocol].get("protocol", {}) for protocol in scores},
        rows=list(_rows(scores)),
    )
    write_atomically(folder / "README.md", text)
    return folder / "README.md"


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("unbraid.pretrained", "."),
        autoescape=False,  # Markdown
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("card.md.j2")


def _rows(scores: Mapping[str, Scores]) -> Iterator[tuple[str, str, str]]:
    """Every score as its name, its value and its floor: the columns of the result pages, else every figure there is."""
    columns = shared_columns().values()
    for protocol in scores:
        of_protocol = [column for column in columns if column.score.startswith(f"{protocol}/")]
        if not of_protocol:
            for path, figure in figures(scores[protocol]).items():
                yield f"{protocol} / {path}", *_cells(figure, 1, 3)
        for column in of_protocol:
            for codes in CODES if "{codes}" in column.score else ("",):
                if score := figure_at(scores, column.score, codes):
                    heading = f"{column.heading} ({codes} codes)" if codes else column.heading
                    scale, digits = (100, 1) if column.percent else (1, column.digits)
                    yield heading, *_cells(score, scale, digits)


def _cells(figure: Figure, scale: int, digits: int) -> tuple[str, str]:
    """Value and floor of a figure as text."""

    def number(value: Any) -> str:
        return f"{scale * value:.{digits}f}"

    value = number(figure.mean) + ("" if figure.std is None else f" ± {number(figure.std)}")
    return value, "" if figure.floor is None else number(figure.floor)
