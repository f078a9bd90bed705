"""A static gallery: the pictures, sounds and scores of several runs side by side, as one page and the files that it shows."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unbraid.evaluation import read_scores
from unbraid.evaluation.scores import Scores, figures
from unbraid.files import whole_folder, write_atomically
from unbraid.report.blocks import figure_cell, number
from unbraid.report.page import headline, run_name
from unbraid.report.pictures import make_pictures, stored_set
from unbraid.report.templates import template
from unbraid.training import open_run
from unbraid.training.run import load_run_data

__all__ = ["write_gallery"]

PLAYERS = "Voices exchanged"


@dataclass(frozen=True)
class _Column:
    """One run: its folder, where its files lie in the gallery, and its words."""

    folder: Path
    place: str
    title: str
    scores: Mapping[str, Scores]

    @property
    def lead(self) -> str:
        """Its result in plain words."""
        return headline(self.scores)


@dataclass(frozen=True)
class _Cell:
    """What one run shows in a row: addresses of images, and of sounds with their captions."""

    images: Sequence[str] = ()
    sounds: Sequence[tuple[str, str]] = ()


def write_gallery(runs: Sequence[str | Path], output: str | Path) -> Path:
    """Write `output/index.html` and the files that it shows; it opens without a server.

    Pictures are those of the runs' reports. They are drawn where a run has none.

    Args:
        runs: folders of runs, or names of pretrained models; in the order of the columns.
        output: folder of the gallery; it must not exist, or be empty.

    Returns:
        The page.

    Raises:
        FileExistsError: there is something in the folder.
        FileNotFoundError: there is no such run, or its data, of which pictures are to be drawn, are missing.
        ValueError: a run's list of sounds names a file outside it.
    """
    output = Path(output)
    opened = [open_run(run) for run in runs]
    with whole_folder(output, "output") as partial:
        columns = []
        for place, run in enumerate(opened, start=1):
            name = f"{place}-{re.sub(r'[^A-Za-z0-9]+', '-', run.folder.resolve().name).strip('-')}"
            if not any((run.folder / "pictures").glob("*.png")):
                make_pictures(run.model, load_run_data(run.config), partial / name)
            else:
                _copy(run.folder, partial / name)
            title = f"{run_name(run.config, 'model')} on {run_name(run.config, 'data')}"
            columns.append(_Column(run.folder, name, title, read_scores(run.folder)))
        page = template("gallery").render(
            columns=columns, rows=_rows(partial, columns), tables=_tables(columns)
        )
        write_atomically(partial / "index.html", page)
    return output / "index.html"


def _copy(folder: Path, target: Path) -> None:
    """The pictures and sounds of a run; what a link in them leads to outside the run is left out."""
    for part, endings in (("pictures", (".png", ".gif")), ("sounds", (".wav", ".json"))):
        inside = (folder / part).resolve()
        for path in sorted((folder / part).glob("*")):
            if path.suffix in endings and path.resolve().parent == inside:
                (target / part).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / part / path.name)


def _rows(gallery: Path, columns: Sequence[_Column]) -> list[tuple[str, str, list[_Cell]]]:
    """Heading, caption and cells of every picture that a run has."""
    rows: dict[str, tuple[str, str]] = {}
    for column in columns:
        pictures = stored_set(gallery / column.place)
        rows |= {shown.name: (shown.heading, shown.caption) for shown in (*pictures.above, *pictures.below)}
    found = [
        (heading, caption, [_picture(gallery, column.place, name) for column in columns])
        for name, (heading, caption) in rows.items()
    ]
    found.insert(0, (PLAYERS, "", [_players(gallery, column.place) for column in columns]))
    return [row for row in found if any(cell.images for cell in row[2])]


def _picture(gallery: Path, place: str, name: str) -> _Cell:
    """A picture, in its moving form where there is one."""
    paths = (gallery / place / "pictures" / f"{name}{ending}" for ending in (".gif", ".png"))
    return _Cell([path.relative_to(gallery).as_posix() for path in paths if path.is_file()][:1])


def _players(gallery: Path, place: str) -> _Cell:
    """Spectrograms of pairs of recordings that exchange their voices, and their sounds."""
    index = gallery / place / "sounds" / "sounds.json"
    if not index.is_file():
        return _Cell()
    pairs = json.loads(index.read_text(encoding="utf-8"))
    images = [_stored(gallery / place / "pictures", pair["picture"]) for pair in pairs]
    sounds = [
        (_stored(gallery / place / "sounds", entry["file"]), str(entry["caption"]))
        for pair in pairs
        for entry in pair["sounds"]
    ]
    return _Cell(
        [path.relative_to(gallery).as_posix() for path in images],
        [(path.relative_to(gallery).as_posix(), caption) for path, caption in sounds],
    )


def _stored(folder: Path, name: str) -> Path:
    """A file that the list of sounds names; it must lie in the folder."""
    path = folder / name
    if path.resolve().parent != folder.resolve() or not path.is_file():
        raise ValueError(f"sounds.json: names {name!r}, which is not in {folder.name}/ of the run's folder")
    return path


def _tables(columns: Sequence[_Column]) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """For each protocol every figure, with a cell for each run: mean, deviation and floor."""
    tables = []
    for protocol in dict.fromkeys(name for column in columns for name in column.scores):
        by_run = [figures(column.scores.get(protocol, {})) for column in columns]
        paths = dict.fromkeys(path for some in by_run for path in some)
        tables.append((protocol, [(path, [_figure(some, path) for some in by_run]) for path in paths]))
    return tables


def _figure(by_path: Mapping[str, Any], path: str) -> str:
    if path not in by_path:
        return "–"
    figure = by_path[path]
    floor = "" if figure.floor is None else f" (floor {number(figure.floor, False)})"
    return figure_cell(figure, False) + floor
