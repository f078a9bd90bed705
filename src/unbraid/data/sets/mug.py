"""MUG: short videos of faces, 52 people who show six expressions.

N. Aifanti, C. Papachristou, A. Delopoulos, "The MUG Facial Expression Database" (WIAMIS 2010,
https://mug.ee.auth.gr/fed/). It is handed out on request and must not be passed on, so it is read from a folder of the
form in which it is handed out:

    FOLDER/SUBJECT/[SESSION/]EXPRESSION/TAKE/*.jpg      as in subjects3/001/session0/anger/take000/img_0000.jpg

A clip is 15 frames from a random start: every second frame where the video has more than 30, consecutive ones otherwise,
as in the code of DBSE (Berman et al., ICML 2024). OpenCV's Haar cascade finds the face. Every video of the six
expressions becomes a clip (the authors' code leaves out 61 test clips by number). Videos, not people, are split, because
the judge can only recognise people that it was trained on.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unbraid.cards import DataCard
from unbraid.data.checks import check_clip
from unbraid.data.formats.extras import missing_extra
from unbraid.data.formats.images import IMAGE_ENDINGS, open_image
from unbraid.data.formats.paths import files_below, files_digest, natural_order
from unbraid.data.labels import Label
from unbraid.data.sequences import Sequences
from unbraid.data.splits import in_order_of_splits, split_by_group
from unbraid.data.store import Space, prepared
from unbraid.words import nearest

__all__ = ["card", "load"]

card = DataCard(
    name="mug",
    summary="52 people who show six expressions: clips of 15 RGB frames of the face, 64x64",
    source="The MUG Facial Expression Database, Aristotle University of Thessaloniki",
    licence="on request, for research only; not to be passed on",
    obtain="ask for it at https://mug.ee.auth.gr/fed/ (a signed licence); then pass --data.root FOLDER, the one "
    "with SUBJECT/[SESSION/]EXPRESSION/TAKE/*.jpg (subjects3), and install the extra in the folder of unbraid's source: "
    "pip install '.[faces]'",
    shape=(15, 3, 64, 64),
    kind="frames",
    protocols=("generation", "leakage"),
    choices=(
        "expressions are numbered anger, disgust, happiness, fear, sadness, surprise; neutral and mixed are left out",
        "split by video at random: 70% train, 10% validation, 20% test (the published ratio is not known)",
        "one clip of each video; its start is drawn once from the seed (published code draws it anew at each reading)",
        "one square crop for a whole clip: the median of the largest face of each frame, so frames in which no face is "
        "found are cropped like the others and the crop does not shake",
        "a clip without a face in any frame is cropped to the centre, kept, and named in a warning",
    ),
)

EXPRESSIONS = ("anger", "disgust", "happiness", "fear", "sadness", "surprise")
LEFT_OUT = ("neutral", "mixed")
DETECTED_AT = 320  # longest side, in pixels, of the image in which the cascade looks for faces


@dataclass(frozen=True)
class Video:
    """One take.

    Attributes:
        folder: of its frames.
        files: its frames in order.
        subject: who is seen.
        expression: which of `EXPRESSIONS` is shown.
    """

    folder: Path
    files: tuple[Path, ...]
    subject: str
    expression: str


def load(
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    size: int = 64,
    steps: int = 15,
    subjects: int = 52,
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
    seed: int = 0,
) -> Sequences:
    """Load MUG: `(N, steps, 3, size, size)` uint8, static label subject, dynamic label expression.

    Args:
        root: the folder with one folder for each subject.
        cache: where the prepared clips are kept; None for UNBRAID_CACHE or the user's cache folder.
        size: side of the frames, 16, 32, 64 or 128.
        steps: frames of a clip.
        subjects: number of subjects that the folder must hold.
        fractions: shares of train, validation and test, counted in videos.
        seed: of the split and of the clips' starts.

    Raises:
        FileNotFoundError: no root, or there is no such folder.
        ValueError: subjects are missing, a video has no expression or too few frames, a frame is damaged.
        ImportError: the extra `faces` is not installed.
    """
    check_clip(size, steps)
    if root is None:
        raise FileNotFoundError(f"root: MUG cannot be downloaded; {card.obtain}")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"root: there is no folder {folder}; give the one with the subjects of MUG")
    videos = _find(folder, subjects)
    for video in videos:
        if len(video.files) < steps:
            raise ValueError(
                f"{video.folder}: has {len(video.files)} frames; a clip needs {steps}. Get the video again, or "
                "pass a smaller --data.steps"
            )
    order, splits = in_order_of_splits(split_by_group(np.arange(len(videos)), fractions, seed))
    videos = [videos[row] for row in order]
    options = {
        "files": files_digest((file for video in videos for file in video.files), folder),
        "size": size,
        "steps": steps,
        "fractions": list(fractions),
        "seed": seed,
    }
    return prepared("mug", options, lambda space: _build(space, videos, splits, (steps, size), seed), cache)


def clip_rows(frames: int, steps: int, generator: np.random.Generator) -> np.ndarray:
    """The frames of a video that make its clip: every second one where it has more than twice `steps`.

    Args:
        frames: of the video.
        steps: of the clip.
        generator: of the random start.
    """
    every = 2 if frames > 2 * steps else 1
    start = generator.integers(0, frames - every * (steps - 1))
    return start + every * np.arange(steps)


def _find(root: Path, count: int) -> list[Video]:
    """Every take of the six expressions, in natural order; refuses missing subjects and frames without an expression."""
    images: dict[Path, list[Path]] = {}
    for file in files_below(root, IMAGE_ENDINGS):
        images.setdefault(file.parent, []).append(file)
    videos = []
    for folder in sorted(images, key=lambda path: natural_order(str(path))):
        parts = folder.relative_to(root).parts
        place = next((i for i, part in enumerate(parts) if part.lower() in EXPRESSIONS + LEFT_OUT), None)
        owner = [part for part in parts[:place] if not part.lower().startswith(("session", "subjects"))]
        if place is None or not owner:
            raise ValueError(
                f"{folder}: has no expression; its frames must lie in SUBJECT/EXPRESSION/TAKE, and the expression "
                f"be one of {', '.join(EXPRESSIONS)}{_nearest_expression(parts)}"
            )
        if parts[place].lower() in EXPRESSIONS:
            files = tuple(sorted(images[folder], key=lambda path: natural_order(path.name)))
            videos.append(Video(folder, files, owner[-1], parts[place].lower()))
    subjects = {video.subject for video in videos}
    if len(subjects) != count:
        names = ", ".join(sorted(subjects, key=natural_order)) or "none"
        raise ValueError(
            f"root: {root} holds {len(subjects)} subjects with frames ({names}) of {count}{_empty(root, subjects)}; "
            "add the missing ones, or pass the number of subjects that you have as --data.subjects"
        )
    return videos


def _nearest_expression(parts: Sequence[str]) -> str:
    close = [word for part in parts if "did you mean" in (word := nearest(part.lower(), EXPRESSIONS))]
    return close[0] if close else ""


def _empty(root: Path, subjects: set[str]) -> str:
    """For the error message: folders that could be subjects but hold no frame."""
    folders = [path for path in root.iterdir() if path.is_dir() and path.name not in subjects]
    empty = [path.name for path in folders if not any(child in subjects for child in _names(path))]
    return f"; there is no frame in {', '.join(sorted(empty, key=natural_order))}" if empty else ""


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _build(
    space: Space,
    videos: list[Video],
    splits: dict[str, np.ndarray],
    shape: tuple[int, int],
    seed: int,
) -> Sequences:
    steps, size = shape
    cascade = _cascade()
    x = space.create((len(videos), steps, 3, size, size))
    faceless = []
    for row, video in enumerate(videos):
        rows = clip_rows(len(video.files), steps, np.random.default_rng([seed, row]))
        images = _read([video.files[i] for i in rows])
        box = _face(cascade, images)
        if box is None:
            faceless.append(str(video.folder))
            box = _centre(images[0])
        for step, image in enumerate(images):
            face = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
            x[row, step] = np.asarray(face).transpose(2, 0, 1)
        space.advance(row + 1, len(videos))
    if faceless:
        warnings.warn(
            f"mug: no face was found in {len(faceless)} of {len(videos)} clips; they are cropped to the centre: "
            f"{', '.join(faceless[:10])}{' ...' if len(faceless) > 10 else ''}",
            stacklevel=2,
        )
    subjects = tuple(sorted({video.subject for video in videos}, key=natural_order))
    labels = {
        "subject": Label(np.array([subjects.index(v.subject) for v in videos]), subjects, "static"),
        "expression": Label(
            np.array([EXPRESSIONS.index(v.expression) for v in videos]), EXPRESSIONS, "dynamic"
        ),
    }
    return Sequences(x, "mug", labels=labels, splits=splits)


def _read(files: Sequence[Path]) -> list[Image.Image]:
    images = [open_image(file).convert("RGB") for file in files]
    for file, image in zip(files, images, strict=True):
        if image.size != images[0].size:
            raise ValueError(f"{file}: differs in size from {files[0].name} beside it; get the video again")
    return images


def _cascade() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise missing_extra("mug: cropping faces", "faces") from error
    cascades = Path(cv2.__file__).parent / "data"
    return cv2.CascadeClassifier(str(cascades / "haarcascade_frontalface_default.xml"))


def _face(cascade: Any, images: Sequence[Image.Image]) -> tuple[float, float, float, float] | None:
    """The square (left, top, right, bottom) of the face in a clip; None when no frame shows one."""
    squares = []
    for image in images:
        scale = max(1.0, max(image.size) / DETECTED_AT)
        small = np.asarray(image.convert("L").resize([round(side / scale) for side in image.size]))
        least = min(small.shape) // 5
        faces = cascade.detectMultiScale(small, scaleFactor=1.1, minNeighbors=5, minSize=(least, least))
        if len(faces):
            left, top, wide, _ = max(faces, key=lambda face: face[2])
            squares.append(np.array([left + wide / 2, top + wide / 2, wide]) * scale)
    if not squares:
        return None
    across, down, side = np.median(squares, axis=0)
    width, height = images[0].size
    side = min(side, width, height)
    left = float(np.clip(across - side / 2, 0, width - side))
    top = float(np.clip(down - side / 2, 0, height - side))
    return left, top, left + float(side), top + float(side)


def _centre(image: Image.Image) -> tuple[float, float, float, float]:
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return left, top, left + side, top + side
