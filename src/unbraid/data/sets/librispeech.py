"""LibriSpeech: volunteers read audiobooks aloud, at 16 kHz; the clean development and test sets, 40 speakers each.

V. Panayotov, G. Chen, D. Povey, S. Khudanpur, "LibriSpeech: an ASR corpus based on public domain audio books", ICASSP
2015; https://www.openslr.org/12. `root` is the folder that holds `dev-clean` and `test-clean`, with files such as
dev-clean/84/121123/84-121123-0000.flac: speaker, chapter, utterance. SPEAKERS.TXT beside them says who is a woman and who
a man; without it there is no such label.

Train and validation are dev-clean: every fifth speaker in the order of their numbers validates. Test is test-clean. No
speaker is in two splits. How the published tables split the corpus is not established, so scores do not compare with them.
"""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from unbraid.cards import DataCard
from unbraid.data.features import FeatureKind, Segment
from unbraid.data.formats.paths import files_digest
from unbraid.data.formats.sounds import check_sound_options
from unbraid.data.labels import Label, make_label
from unbraid.data.own.sounds import sequences_of_sounds
from unbraid.data.sequences import Sequences
from unbraid.data.store import prepared

__all__ = ["card", "load", "splits_of"]

card = DataCard(
    name="librispeech",
    summary="80 speakers read audiobooks, 16 kHz: 2703 recordings of 40 to train and validate, 2620 of 40 others to test",
    source="V. Panayotov, G. Chen, D. Povey, S. Khudanpur, ICASSP 2015, https://www.openslr.org/12",
    licence="CC BY 4.0",
    obtain="download dev-clean.tar.gz and test-clean.tar.gz (337 and 346 MB) from https://www.openslr.org/12, unpack both, "
    "then --data.root with the folder of dev-clean and test-clean",
    shape=(20, 80),
    kind="sound",
    protocols=("verification",),
    choices=(
        "train: 32 speakers of dev-clean; validation: every fifth speaker of dev-clean, 8; test: the 40 of test-clean",
        "80 log-mel bands, segments of 200 ms that follow one another, as on TIMIT",
        "sex is a label that is part of the speaker; there is no label of what is said",
    ),
)

COUNTS = {"dev-clean": 2703, "test-clean": 2620}
VALIDATION = 5  # every fifth speaker of dev-clean
SAMPLING_RATE = 16000
# set / speaker / chapter / speaker-chapter-utterance, as in dev-clean/84/121123/84-121123-0000.flac
PLACE = re.compile(
    r"(?P<set>dev-clean|test-clean)/(?P<speaker>\d+)/(?P<chapter>\d+)/(?P=speaker)-(?P=chapter)-\d+\.flac"
)


def load(
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    features: FeatureKind = "mel80",
    segment: Segment = "segment",
    steps: int | None = None,
) -> Sequences:
    """Load LibriSpeech: `(N, T, F)` features, scaled on the train split; static labels speaker and, part of it, sex.

    Args:
        root: the folder that holds dev-clean and test-clean, or the folder above it.
        cache: where the prepared features are kept; None for UNBRAID_CACHE or the user's cache folder.
        features: kind of features, see `unbraid.data.formats.spectra`.
        segment: "segment" for pieces of `steps` frames, "utterance" for whole recordings; see
            `unbraid.data.formats.sounds.cut`.
        steps: frames of a segment, 20 by default. For utterances: the most frames of a sequence.

    Raises:
        FileNotFoundError: no root, or it does not hold the tree of LibriSpeech.
        ValueError: a file that cannot be read, too few speakers for a split, an option that does not exist.
        ImportError: the extra `audio` is not installed.
    """
    check_sound_options(features, segment, steps, SAMPLING_RATE)
    if root is None:
        raise FileNotFoundError(f"root: LibriSpeech is not downloaded; {card.obtain}")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"root: there is no folder {folder}; {card.obtain}")
    tree = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.flac"))}
    splits = splits_of(tree)
    _check(folder, splits)
    names = [name for files in splits.values() for name in files]
    files = {split: [tree[name] for name in names] for split, names in splits.items()}
    table = next(iter(sorted(folder.rglob("SPEAKERS.TXT"))), None)
    options = {
        "files": files_digest([*(tree[name] for name in names), *([table] if table else [])], folder),
        "features": features,
        "segment": segment,
        "steps": steps,
    }
    return prepared(
        "librispeech",
        options,
        lambda space: sequences_of_sounds(
            space, "librispeech", files, _labels(names, table), features, SAMPLING_RATE, segment, steps
        ),
        cache,
    )


def splits_of(names: Iterable[str]) -> dict[str, list[str]]:
    """The recordings of each split.

    Args:
        names: paths of the files of LibriSpeech's tree. Files that are no recordings are left out.
    """
    places = {name: place for name in sorted(names) if (place := _place(name)) is not None}
    speakers = sorted({int(place["speaker"]) for place in places.values() if place["set"] == "dev-clean"})
    validated = set(speakers[VALIDATION - 1 :: VALIDATION])
    splits: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for name, place in places.items():
        if place["set"] == "test-clean":
            splits["test"].append(name)
        else:
            splits["validation" if int(place["speaker"]) in validated else "train"].append(name)
    return splits


def _place(name: str) -> dict[str, str] | None:
    """Set, speaker and chapter, from the last four parts of a path."""
    match = PLACE.fullmatch("/".join(name.split("/")[-4:]))
    return None if match is None else match.groupdict()


def _speaker(name: str) -> str:
    return Path(name).parts[-3]


def _check(folder: Path, splits: Mapping[str, Sequence[str]]) -> None:
    """Refuse a tree without two speakers for each split; warn of a tree that is not complete."""
    if not any(splits.values()):
        raise FileNotFoundError(
            f"root: {folder} does not hold LibriSpeech's tree; files such as dev-clean/84/121123/84-121123-0000.flac "
            "are expected"
        )
    for name, files in splits.items():
        speakers = {_speaker(file) for file in files}
        if len(speakers) < 2:
            source = "test-clean" if name == "test" else "dev-clean"
            raise ValueError(
                f"root: {folder} holds {len(speakers)} speakers for the {name} split of LibriSpeech; at least two are "
                f"needed, so unpack all of {source}"
            )
    held = {
        "dev-clean": len(splits["train"]) + len(splits["validation"]),
        "test-clean": len(splits["test"]),
    }
    for source, count in held.items():
        if count != COUNTS[source]:
            warnings.warn(
                f"root: {folder} holds {count} recordings of {source}, LibriSpeech {COUNTS[source]}; scores do not "
                "compare with published tables",
                stacklevel=3,
            )


def _labels(names: Sequence[str], table: Path | None) -> dict[str, Label]:
    """Speaker and, where the table of speakers is there, sex of each file."""
    speakers = [_speaker(name) for name in names]
    labels = {"speaker": make_label("speaker", speakers, "static")}
    if table is None:
        return labels
    sexes = {}
    for line in table.read_text(encoding="utf-8").splitlines():
        fields = [field.strip() for field in line.split("|")]
        if not line.startswith(";") and len(fields) > 1:
            sexes[fields[0]] = {"F": "female", "M": "male"}.get(fields[1], "")
    missing = next((speaker for speaker in speakers if not sexes.get(speaker)), None)
    if missing is not None:
        raise ValueError(f"{table}: does not say whether speaker {missing} is F or M; replace or remove it")
    own = [sexes[speaker] for speaker in speakers]
    return labels | {"sex": make_label("sex", own, "static", part_of="speaker")}
