"""TIMIT: 630 Americans read ten sentences each, at 16 kHz; most papers report their audio scores on it.

J. Garofolo and others, Linguistic Data Consortium LDC93S1, https://catalog.ldc.upenn.edu/LDC93S1. The consortium
hands it out under a licence, so nothing is downloaded here. `root` is the folder that holds TRAIN and TEST, with
files such as TEST/DR1/FAKS0/SX133.WAV, in capital or small letters, as NIST SPHERE (the consortium's form) or as
RIFF files (also named SX133.WAV.wav, beside the others).

The two sentences that every speaker reads (SA1, SA2) are left out. Train: the 462 speakers of TRAIN, 3696 recordings.
Test: the 24 speakers of the core test set, 192. Validation: the 50 development speakers that speech recognition
uses (`dev_spk.list` of the Kaldi toolkit's recipe, chosen from the other speakers of TEST), 400. No speaker is in
two splits. The other 94 speakers of TEST are not used.

The papers train on random starts of 200 ms; here segments follow one another in training as in testing.
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

__all__ = ["card", "load", "standard_splits"]

card = DataCard(
    name="timit",
    summary="630 speakers read sentences, 16 kHz: 3696, 400 and 192 recordings of 462, 50 and 24 speakers",
    source="J. Garofolo and others, Linguistic Data Consortium, https://catalog.ldc.upenn.edu/LDC93S1",
    licence="LDC User Agreement; not free",
    obtain="order LDC93S1 from the Linguistic Data Consortium, then --data.root with the folder of TRAIN and TEST",
    shape=(20, 80),
    kind="sound",
    protocols=("verification",),
    choices=(
        "validation: the 50 development speakers of Kaldi's recipe, who do not occur in training",
        "80 log-mel bands, where the papers use different spectra; --data.features chooses",
        "segments of 200 ms follow one another in training too, where the papers start at random",
        "sex and dialect region are labels that are part of the speaker",
    ),
)

CORE_TEST = (
    "fdhc0 felc0 fjlm0 fmgd0 fmld0 fnlp0 fpas0 fpkt0 mbpm0 mcmj0 mdab0 mgrt0 mjdh0 mjln0 mjmp0 mklt0 mlll0 mlnt0 "
    "mnjm0 mpam0 mtas1 mtls0 mwbt0 mwew0"
)
DEVELOPMENT = (
    "fadg0 faks0 fcal1 fcmh0 fdac1 fdms0 fdrw0 fedw0 fgjd0 fjem0 fjmg0 fjsj0 fkms0 fmah0 fmml0 fnmr0 frew0 fsem0 "
    "majc0 mbdg0 mbns0 mbwm0 mcsh0 mdlf0 mdls0 mdvc0 mers0 mgjf0 mglb0 mgwt0 mjar0 mjfc0 mjsw0 mmdb1 mmdm2 mmjr0 "
    "mmwh0 mpdf0 mrcs0 mreb0 mrjm4 mrjr0 mroa0 mrtk0 mrws1 mtaa0 mtdt0 mteb0 mthc0 mwjg0"
)
COUNTS = {"train": 3696, "validation": 400, "test": 192}
SAMPLING_RATE = 16000
# usage / dialect region / speaker (first letter: sex) / sentence, as in train/dr1/fcjf0/sx127.wav
PLACE = re.compile(
    r"(?P<usage>train|test)/dr(?P<region>[1-8])/(?P<speaker>[fm][a-z]{3}\d)/(?P<sentence>s[aix]\d+)\.wav(\.wav)?",
    re.IGNORECASE,
)


def load(
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    features: FeatureKind = "mel80",
    segment: Segment = "segment",
    steps: int | None = None,
) -> Sequences:
    """Load TIMIT: `(N, T, F)` features, scaled on the train split; static labels speaker, sex and region.

    Args:
        root: the folder that holds TRAIN and TEST, or the folder above it.
        cache: where the prepared features are kept; None for UNBRAID_CACHE or the user's cache folder.
        features: kind of features, see `unbraid.data.formats.spectra`.
        segment: "segment" for pieces of `steps` frames, "utterance" for whole recordings; see
            `unbraid.data.formats.sounds.cut`.
        steps: frames of a segment, 20 by default. For utterances: the most frames of a sequence.

    Raises:
        FileNotFoundError: no root, or it does not hold the tree of TIMIT.
        ValueError: a file that cannot be read (for example because it is compressed with shorten), no recordings for a
            split, fewer than two speakers, an option that does not exist.
        ImportError: the extra `audio` is not installed.
    """
    check_sound_options(features, segment, steps, SAMPLING_RATE)
    if root is None:
        raise FileNotFoundError(f"root: TIMIT is not free and is not downloaded; {card.obtain}")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"root: there is no folder {folder}; {card.obtain}")
    tree = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    splits = standard_splits(tree)
    _check(folder, splits)
    names = [name for files in splits.values() for name in files]
    files = {split: [tree[name] for name in names] for split, names in splits.items()}
    options = {
        "files": files_digest((tree[name] for name in names), folder),
        "features": features,
        "segment": segment,
        "steps": steps,
    }
    return prepared(
        "timit",
        options,
        lambda space: sequences_of_sounds(
            space, "timit", files, _labels(names), features, SAMPLING_RATE, segment, steps
        ),
        cache,
    )


def standard_splits(names: Iterable[str]) -> dict[str, list[str]]:
    """The recordings of each split, each sentence once.

    Args:
        names: paths of the files of TIMIT's tree. Files that are no recordings, the SA sentences and the unused speakers
            of TEST are left out.
    """
    core, development = set(CORE_TEST.split()), set(DEVELOPMENT.split())
    chosen: dict[str, dict[tuple[str, str], str]] = {name: {} for name in COUNTS}
    for name in sorted(names):
        place = _place(name)
        if place is None or place["sentence"].startswith("sa"):
            continue
        speaker = place["speaker"]
        if place["usage"] == "train":
            split = "train"
        elif speaker in core | development:
            split = "test" if speaker in core else "validation"
        else:
            continue
        # X.WAV and X.WAV.wav are the same sound: the last in order, the RIFF file, is used.
        chosen[split][speaker, place["sentence"]] = name
    return {split: sorted(files.values(), key=str.lower) for split, files in chosen.items()}


def _place(name: str) -> dict[str, str] | None:
    """Usage, region, speaker and sentence, in small letters, from the last four parts of a path."""
    match = PLACE.fullmatch("/".join(name.split("/")[-4:]))
    return None if match is None else {key: value.lower() for key, value in match.groupdict("").items()}


def _check(folder: Path, splits: Mapping[str, Sequence[str]]) -> None:
    """Refuse a tree without recordings for a split; warn of a tree that is not complete."""
    if not any(splits.values()):
        raise FileNotFoundError(
            f"root: {folder} does not hold TIMIT's tree; files such as TRAIN/DR1/FCJF0/SX127.WAV are expected"
        )
    for name, files in splits.items():
        if not files:
            raise ValueError(f"root: {folder} holds no recordings for the {name} split of TIMIT")
        speakers = sorted({_place(file)["speaker"] for file in files})  # type: ignore[index]
        if len(speakers) < 2:
            raise ValueError(
                f"root: all {name} recordings in {folder} are of {speakers[0]}; at least two speakers are needed"
            )
        if len(files) != COUNTS[name]:
            warnings.warn(
                f"root: {folder} holds {len(files)} {name} recordings of {len(speakers)} speakers, TIMIT "
                f"{COUNTS[name]}; scores do not compare with published tables",
                stacklevel=3,
            )


def _labels(names: Sequence[str]) -> dict[str, Label]:
    """Speaker, sex and dialect region of each file."""
    places = [place for place in map(_place, names) if place is not None]
    speakers = [place["speaker"] for place in places]
    sexes = ["female" if speaker.startswith("f") else "male" for speaker in speakers]
    return {
        "speaker": make_label("speaker", speakers, "static"),
        "sex": make_label("sex", sexes, "static", part_of="speaker"),
        "region": make_label("region", [place["region"] for place in places], "static", part_of="speaker"),
    }
