"""Free Spoken Digit Dataset: six men say the digits 0 to 9, fifty times each, at 8 kHz.

3000 recordings `{digit}_{speaker}_{index}.wav` of 0.14 to 2.3 s, collected by Z. Jackson and others,
https://github.com/Jakobovski/free-spoken-digit-dataset. Indices 0 to 4 are the published test set. Of the others we
validate on 5 to 9 and train on 10 to 49, so all speakers occur in training. With `fold`, two speakers are held out
instead, for the verification of unknown voices: fold 0 george and jackson, 1 lucas and nicolas, 2 theo and yweweler. The
test split is then all their recordings, the validation split the indices 5 to 9 of the other four speakers.

Sequences are segments of 200 ms, 20 frames of log-mel bands, as in the papers on TIMIT, or whole utterances. Sampling
rate and bands differ from TIMIT's, so error rates do not compare with those of the papers. Mind that recording level,
silence and duration also identify these speakers.
"""

import hashlib
import re
import tarfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import pooch

from unbraid.cards import DataCard
from unbraid.data.checks import check_choice
from unbraid.data.features import FeatureKind, Segment
from unbraid.data.formats.other_voices import check_other_voices
from unbraid.data.formats.paths import files_digest
from unbraid.data.formats.sounds import check_sound_options
from unbraid.data.labels import Label, make_label
from unbraid.data.own.sounds import sequences_of_sounds
from unbraid.data.sequences import Sequences
from unbraid.data.splits import SPLITS
from unbraid.data.store import download_folder, prepared, raw_folder

__all__ = ["card", "fetch", "load"]

card = DataCard(
    name="fsdd",
    summary="six speakers, ten spoken digits: 3000 recordings at 8 kHz, as segments of 200 ms or whole",
    source="Z. Jackson and others, https://github.com/Jakobovski/free-spoken-digit-dataset",
    licence="CC BY-SA 4.0",
    obtain="unbraid data fetch fsdd (an archive of 16 MB), or --data.root with the folder of its recordings",
    shape=(20, 80),
    kind="sound",
    protocols=("verification",),
    choices=(
        "validation: indices 5 to 9 of the published training set, so every speaker is in every split",
        "mel bands as in HTK from 20 to 4000 Hz, of height 1; windows of 200 samples, padded to 512",
        "segments of 200 ms follow one another, the rest is dropped; a shorter recording is kept, padded and masked",
        "speakers that --data.fold holds out: two at a time in the order of their names",
    ),
)

ARCHIVE = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz"
# SHA-256 over the names and contents of the 3000 recordings, see `_content`.
CONTENT = "dbd573d7cafe79c4b49f65718115e1304e24e067fa39eff18a660dc6cb9c360f"
NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<index>\d+)\.wav")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
RECORDINGS = 3000
SAMPLING_RATE = 8000


def load(
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    features: FeatureKind = "mel80",
    segment: Segment = "segment",
    steps: int | None = None,
    fold: int | None = None,
    other_voices: int = 0,
) -> Sequences:
    """Load FSDD: `(N, T, F)` features, scaled on the train split; label `speaker` is static, `digit` dynamic.

    Args:
        root: the folder of the recordings, or the folder above it; None for the folder that `fetch` downloads to.
        cache: where the prepared features are kept; None for UNBRAID_CACHE or the user's cache folder.
        features: kind of features, see `unbraid.data.formats.spectra`.
        segment: "segment" for pieces of `steps` frames (the rest at the end is dropped; a shorter recording is padded),
            "utterance" for whole recordings, padded.
        steps: frames of a segment, 20 by default. For utterances: the most frames of a sequence, by default the 226 of
            the longest; longer utterances are cut into equal pieces.
        fold: None for the published split, in which all speakers occur in training; 0, 1 or 2 to test on two speakers
            who do not.
        other_voices: in how many other voices each recording is kept as well, for the view `voice`; mel bands only.

    Raises:
        FileNotFoundError: the folder is missing or holds no recordings.
        ValueError: a file that cannot be read; fewer than two speakers; an option that does not exist.
        ImportError: the extra `audio` is not installed.
    """
    check_sound_options(features, segment, steps, SAMPLING_RATE)
    check_choice("fold", fold, (None, 0, 1, 2))
    check_other_voices(other_voices, features)
    splits = _splits(_recordings(root, cache), fold)
    paths = [path for files in splits.values() for path in files]
    options = {
        "files": files_digest(paths, paths[0].parent),
        "features": features,
        "segment": segment,
        "steps": steps,
        "fold": fold,
        "other_voices": other_voices,
    }
    return prepared(
        "fsdd",
        options,
        lambda space: sequences_of_sounds(
            space,
            "fsdd",
            splits,
            _labels(paths),
            features,
            SAMPLING_RATE,
            segment,
            steps,
            other_voices=other_voices,
        ),
        cache,
    )


def fetch(folder: str | Path | None = None, *, url: str | None = None) -> Path:
    """Download the archive of release 1.0.10 and unpack its recordings; their contents are checked against one hash.

    Args:
        folder: where to put them; None for the cache's download folder, where `load` looks.
        url: of the archive, a .tar.gz; None for the published one.

    Raises:
        ConnectionError: the archive cannot be downloaded.
        ValueError: the archive holds other recordings than the published ones.
    """
    target = download_folder("fsdd") if folder is None else Path(folder).expanduser()
    recordings = target / "recordings"
    if recordings.is_dir() and _content(_named(recordings)) == CONTENT:
        return target
    address = url or ARCHIVE
    try:
        # GitHub packs an archive anew now and then, so the hash is that of the recordings, not of the archive.
        archive = Path(pooch.retrieve(address, None, "fsdd.tar.gz", target))
    except OSError as error:  # the errors of requests are OSErrors
        raise ConnectionError(
            f"fsdd: cannot download {address} to {target} ({error}); "
            "try again, or download the recordings yourself and pass --data.root"
        ) from error
    recordings.mkdir(exist_ok=True)
    try:
        with tarfile.open(archive) as packed:
            for member in packed:
                name = Path(member.name).name
                if member.isfile() and NAME.fullmatch(name):
                    (recordings / name).write_bytes(packed.extractfile(member).read())  # type: ignore[union-attr]
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ValueError(f"fsdd: {address} is damaged or no archive ({error}); try again") from error
    finally:
        archive.unlink()
    if _content(_named(recordings)) != CONTENT:
        raise ValueError(
            f"fsdd: {address} does not hold the published recordings; its own were put into {recordings}"
        )
    return target


def _named(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))


def _content(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _recordings(root: str | Path | None, cache: str | Path | None) -> list[Path]:
    """The files; refused where there are none, or only of one speaker."""
    folder = raw_folder("fsdd", root, cache)
    folder = folder / "recordings" if (folder / "recordings").is_dir() else folder
    paths = _named(folder)
    if not paths:
        raise FileNotFoundError(
            f"root: {folder} holds no recordings of FSDD; run `unbraid data fetch fsdd`, or pass the --data.root that "
            "holds 0_george_0.wav, ..."
        )
    speakers = {_parts(path)[1] for path in paths}
    if len(speakers) < 2:
        raise ValueError(
            f"root: all recordings in {folder} are of {speakers.pop()}; at least two speakers are needed"
        )
    if len(paths) != RECORDINGS or speakers != set(SPEAKERS):
        warnings.warn(
            f"root: {folder} holds {len(paths)} recordings of {len(speakers)} speakers, the published set 3000 of 6; "
            "scores do not compare with published tables",
            stacklevel=3,
        )
    return paths


def _parts(path: Path) -> tuple[int, str, int]:
    """Digit, speaker and index."""
    match = NAME.fullmatch(path.name)
    assert match is not None  # only files of this form are listed
    return int(match["digit"]), match["speaker"], int(match["index"])


def _splits(paths: Sequence[Path], fold: int | None) -> dict[str, list[Path]]:
    """The files of each split."""
    held = () if fold is None else SPEAKERS[2 * fold : 2 * fold + 2]
    splits: dict[str, list[Path]] = {name: [] for name in SPLITS}
    for path in paths:
        _, speaker, index = _parts(path)
        if speaker in held or (fold is None and index < 5):
            splits["test"].append(path)
        else:
            splits["validation" if 5 <= index < 10 else "train"].append(path)
    for name, files in splits.items():
        if not files:
            raise ValueError(f"root: {paths[0].parent} holds no recording for the {name} split; get them all")
    return splits


def _labels(paths: Sequence[Path]) -> dict[str, Label]:
    """Speaker and digit of each file."""
    digits, speakers, _ = zip(*map(_parts, paths), strict=True)
    return {
        "speaker": make_label("speaker", speakers, "static"),
        "digit": make_label("digit", digits, "dynamic"),
    }
