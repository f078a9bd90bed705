"""From values to files: a moving picture, curves or a spectrogram with its sound, and packages to download."""

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unbraid import plots
from unbraid.data.sequences import Sequences
from unbraid.page.codes import Decoded
from unbraid.page.session import Session
from unbraid.plots.sheets import sheet
from unbraid.sounds import decibels, hear, write_wav

__all__ = ["Shown", "clicked_point", "draw_map", "pack", "show"]

SIDE = 288  # pixels of a frame; it is enlarged by whole multiples
DPI = 180  # of curves and spectrograms, sharp on a phone
FRAMES_PER_SECOND = 7  # of clips that do not say
FASTEST = 30  # frames per second that are shown


@dataclass(frozen=True)
class Shown:
    """A sequence as files.

    Attributes:
        title: what it is, as plain text.
        picture: a GIF of frames; a PNG of curves or of a spectrogram.
        sound: a WAV file, of sound.
        values: `(L, *X)`: frames in [0, 1], series in their units, features of sound.
    """

    title: str
    picture: Path
    sound: Path | None
    values: np.ndarray


def show(
    session: Session, title: str, made: Decoded | None, like: Sequences, seen: Decoded | None = None
) -> Shown:
    """Write a sequence as files in a new folder of the session.

    Args:
        session: says how its sequences are shown.
        title: of the sequence.
        made: decoded values; None to show only the observed ones.
        like: the sequence that gave length and units.
        seen: observed values, drawn under the model's in curves, shown instead of them in all other pictures.
    """
    folder = session.shelf.new()
    shown = seen or made
    assert shown is not None
    stem = _file_name(title)
    picture = folder / f"{stem}.{'gif' if session.kind == 'frames' else 'png'}"
    sound = None
    if session.kind == "frames":
        rate = min(like.sampling_rate or FRAMES_PER_SECOND, FASTEST)
        plots.animate(shown.values[None, None], picture, target=SIDE, margin=0, frames_per_second=rate)
    elif session.kind == "sound":
        _draw_spectrogram(shown.values, like, picture)
        sound = folder / f"{stem}.wav"
        assert like.sound is not None
        write_wav(sound, hear(shown.values, like), like.sound.sampling_rate)
    elif session.kind == "heat":
        sheet([[shown.values]]).savefig(picture, dpi=DPI)
    else:
        plots.plot_curves(
            None if made is None else made.values,
            None if made is None else made.deviation,
            None if seen is None else seen.values,
            ranges=session.ranges,
            names=like.feature_names,
            units=like.units,
            sampling_rate=like.sampling_rate,
        ).savefig(picture, dpi=DPI)
    return Shown(title, picture, sound, shown.values)


def _draw_spectrogram(values: np.ndarray, like: Sequences, path: Path) -> None:
    assert like.feature_names is not None and like.sampling_rate is not None
    frequencies = np.array([float(name.removesuffix(" Hz")) for name in like.feature_names])
    figure = plots.plot_spectrograms([[decibels(values, like)]], [[""]], frequencies, like.sampling_rate)
    figure.savefig(path, dpi=DPI)


def draw_map(session: Session, code: str, label: str | None, marked: int | None = None) -> Path:
    """The map of a code as a PNG.

    Args:
        session: whose clips are the points.
        code: static or dynamic.
        label: the label or target that colours the points.
        marked: the point in a ring.
    """
    path = session.shelf.new() / f"map-{code}.png"
    places = plots.map_places(_points(session, code))
    plots.plot_map(places, session.labels.get(label or ""), marked).savefig(path, dpi=DPI)
    return path


def clicked_point(session: Session, code: str, across: float, down: float) -> int:
    """The clip at a pixel of the picture that `draw_map` made."""
    side = plots.MAP_SIDE * DPI
    return plots.nearest_place(plots.map_places(_points(session, code)), across / side, down / side)


def _points(session: Session, code: str) -> np.ndarray:
    return session.maps[0 if code == "static" else 1]


def pack(session: Session, name: str, shown: Sequence[Shown]) -> Path:
    """A ZIP file with pictures, sounds and values (`.npy`, of series also `.csv`) of some sequences."""
    path = session.shelf.new() / f"{_file_name(name)}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for number, item in enumerate(shown, start=1):
            stem = f"{number}-{_file_name(item.title)}"
            for file in filter(None, (item.picture, item.sound)):
                packed.write(file, stem + file.suffix)
            with packed.open(f"{stem}.npy", "w") as member:
                np.save(member, item.values)
            if session.kind == "series":
                rows = [",".join("" if np.isnan(v) else f"{v:.7g}" for v in row) for row in item.values]
                packed.writestr(f"{stem}.csv", "\n".join([_head(session, item.values), *rows]) + "\n")
    return path


def _head(session: Session, values: np.ndarray) -> str:
    """The first line of a table: names of features, quoted."""
    names = None if session.pool is None else session.pool.feature_names
    names = names or tuple(f"feature {column + 1}" for column in range(values.shape[1]))
    return ",".join('"' + name.replace('"', '""') + '"' for name in names)


def _file_name(title: str) -> str:
    """A title as the name of a file: letters, digits and dashes."""
    return re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-")[:60] or "sequence"
