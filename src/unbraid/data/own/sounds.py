"""One's own sounds: a folder of WAV, FLAC, OGG, MP3 or NIST SPHERE files, with all its sub-folders.

Each file is one recording. It is cut into segments of 200 ms, which stay together in one split, or kept whole; see
`unbraid.data.formats.sounds.cut`. Sampling rates that differ are converted to the one that most files have.

Labels come from the file names by a pattern such as `{digit}_{speaker}_{index}` (with a `/` in it, from the path
within the folder: `{speaker}/{sentence}`); or from a CSV file with a header, first the column `file`; or else from
sub-folders, whose names become the label `class`. In pattern and CSV, `group` is no label but keeps the files of one
group (a speaker, a session) in one split; in a pattern, `index` is no label either.
"""

import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unbraid.data.features import FeatureKind, Segment
from unbraid.data.formats.images import IMAGE_ENDINGS, MOVIE_ENDINGS, natural_order
from unbraid.data.formats.sounds import (
    AUDIO_ENDINGS,
    check_sound_options,
    listing,
    recorded_rate,
    sequences_from,
)
from unbraid.data.own.frames import folder_labels, read_labels
from unbraid.data.sequences import Sequences, make_label, split_by_group
from unbraid.data.store import Space, prepared
from unbraid.words import nearest

__all__ = ["holds_sound", "load_audio_folder"]


def holds_sound(path: str | Path) -> bool:
    """Whether a path is a sound file, or a folder with more sound files than videos and images."""
    path = Path(path).expanduser()
    if path.is_file():
        return path.suffix.lower() in AUDIO_ENDINGS
    endings = Counter(file.suffix.lower() for file in path.rglob("*"))
    pictures = sum(endings[ending] for ending in (*MOVIE_ENDINGS, *IMAGE_ENDINGS))
    return sum(endings[ending] for ending in AUDIO_ENDINGS) > pictures


def load_audio_folder(
    folder: str | Path,
    *,
    name: str | None = None,
    features: FeatureKind = "mel80",
    sampling_rate: int | None = None,
    segment: Segment = "segment",
    steps: int | None = None,
    pattern: str | None = None,
    labels: str | Path | None = None,
    dynamic_labels: Sequence[str] = (),
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    cache: str | Path | None = None,
) -> Sequences:
    """Load one's own sounds: `(N, T, F)` features, scaled on the train split, recordings split at random.

    Args:
        folder: of the sound files.
        name: the data set's name; None for the folder's.
        features: kind of features: mel80, mel40, spec200 or linear201, see `audio_features`.
        sampling_rate: samples per second that all sounds are converted to; None for what most files have.
        segment: "segment" for pieces of `steps` frames (a rest that fills none is dropped; a shorter recording is
            padded), "utterance" for whole recordings, padded.
        steps: frames (of 10 ms) of a segment, 20 by default; for utterances the most that stay in one piece, by
            default the longest's. Longer utterances are cut into equal pieces.
        pattern: of the file names without their ending, as in "{digit}_{speaker}_{index}".
        labels: CSV file with labels, instead of a pattern.
        dynamic_labels: names of the labels that say what is spoken or happens; the others are static.
        fractions: shares of train, validation and test, counted in files or groups.
        seed: of the random split.
        cache: where the prepared features are kept; see `store.cache_folder`.

    Raises:
        FileNotFoundError: no such folder or label file.
        ValueError: nothing to hear; a file that cannot be used (see `audio_files.read_audio`) or that the pattern or
            the CSV file gives no labels; fewer than two speakers; an option that does not fit.
        ImportError: the extra `audio` is not installed.
    """
    path = Path(folder).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"folder: there is no folder {path}")
    if path.is_file():
        raise ValueError(f"folder: {path} is one file; give a folder of at least 3 sound files")
    if pattern is not None and labels is not None:
        raise ValueError("pattern, labels: labels come from the file names or from a CSV file; give one")
    files = sorted(
        (file for file in path.rglob("*") if _is_sound(file, path)), key=lambda f: natural_order(str(f))
    )
    if len(files) < 3:
        raise ValueError(
            f"folder: {path} holds {len(files)} sound files; training, validation and test need one each, at least "
            f"3 of {', '.join(AUDIO_ENDINGS)}"
        )
    names = [file.relative_to(path).as_posix() for file in files]
    if pattern is not None:
        table = _matched(pattern, names)
    else:
        table = read_labels(Path(labels).expanduser(), names) if labels else folder_labels(names)
    groups = np.array(table.pop("group", names))
    if isinstance(dynamic_labels, str):
        dynamic_labels = (dynamic_labels,)
    for label in dynamic_labels:
        if label not in table:
            raise ValueError(f"dynamic_labels: no label is called {label!r}{nearest(label, table)}")
    if len(set(table.get("speaker", "12"))) < 2:
        raise ValueError(
            f"folder: all files in {path} are of one speaker, {table['speaker'][0]}; at least two are needed to tell "
            "speakers apart, or leave that label out"
        )
    rate = sampling_rate or Counter(recorded_rate(file) for file in files).most_common(1)[0][0]
    check_sound_options(features, segment, steps, rate)
    rows = split_by_group(groups, fractions, seed)
    order = np.concatenate(list(rows.values()))
    splits = {split: [files[row] for row in chosen] for split, chosen in rows.items()}
    made = {
        label: make_label(label, np.array(values)[order], "dynamic" if label in dynamic_labels else "static")
        for label, values in table.items()
    }
    called = name or re.sub(r"[^\w.-]+", "_", path.resolve().name) or "own"
    options = {
        "files": hashlib.sha256((repr(names) + listing(files)).encode()).hexdigest(),
        "labels": hashlib.sha256(repr((table, groups.tolist())).encode()).hexdigest(),
        "dynamic_labels": list(dynamic_labels),
        "features": features,
        "sampling_rate": rate,
        "segment": segment,
        "steps": steps,
        "fractions": list(fractions),
        "seed": seed,
    }

    def build(space: Space) -> Sequences:
        data = sequences_from(space, called, splits, made, features, rate, segment, steps)
        if segment == "segment" and data.lengths is not None and data.groups is not None:
            short = [files[order[owner]] for owner in data.groups[data.lengths < data.steps]]
            more = f", and {len(short) - 1} more" if len(short) > 1 else ""
            warnings.warn(
                f"{short[0]}{more}: shorter than a segment of {data.steps} frames; padded and masked",
                stacklevel=2,
            )
        return data

    return prepared(called, options, build, cache)


def _is_sound(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.is_file() and file.suffix.lower() in AUDIO_ENDINGS and not hidden


def _matched(pattern: str, names: Sequence[str]) -> dict[str, list[str]]:
    """What the placeholders of a pattern stand for in each file's name, or in its path if the pattern has a `/`."""
    parts = re.split(r"\{(\w+)\}", pattern)
    places = parts[1::2]
    if not places or len(set(places)) < len(places):
        raise ValueError(
            f"pattern: {pattern!r} needs placeholders, each once, as in '{{speaker}}_{{digit}}_{{index}}'"
        )
    text = [f"(?P<{part}>[^/]+?)" if odd % 2 else re.escape(part) for odd, part in enumerate(parts)]
    matcher = re.compile("".join(text))
    table: dict[str, list[str]] = {place: [] for place in places}
    for name in names:
        stem = name.rpartition(".")[0]
        found = matcher.fullmatch(stem if "/" in pattern else stem.rpartition("/")[2])
        if found is None:
            raise ValueError(
                f"pattern: {name} is not named by {pattern!r}; rename or remove it, or give another pattern"
            )
        for place in places:
            table[place].append(found[place])
    table.pop("index", None)
    return table
