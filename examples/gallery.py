"""The pictures of docs/gallery.md, drawn from trained runs: `python examples/gallery.py RUN...`.

The page is made of three runs: `unbraid demo`, `unbraid train voices/braid` and `unbraid demo --data machines`.
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

from unbraid.report.pictures import make_pictures
from unbraid.training import open_run
from unbraid.training.run import load_run_data

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
CHOSEN = {
    "frames": ("interpolation", "drawn_motion", "drawn_content", "components", "codes"),
    "sound": ("exchange1", "voices"),
    "windows": ("series", "series_swap", "series_between", "series_components"),
}
WIDEST = 1400  # pixels


def main(*runs: str, output: Path = PICTURES) -> list[Path]:
    """Draw the chosen pictures of each run into the folder `output`, as `gallery-<data>-<picture>.png`.

    Returns:
        The files written.
    """
    written = []
    for folder in runs:
        run = open_run(folder)
        data = load_run_data(run.config)
        with tempfile.TemporaryDirectory() as place:
            pictures = make_pictures(run.model, data, place)
            for name in CHOSEN[data.kind]:
                goal = output / f"gallery-{data.name}-{name}.png"
                shrink(pictures / f"{name}.png", goal)
                written.append(goal)
    return written


def shrink(source: Path, goal: Path) -> None:
    """Write a picture with at most `WIDEST` columns and 128 colours."""
    with Image.open(source) as picture:
        picture = picture.convert("RGB")
        picture.thumbnail((WIDEST, 10 * WIDEST))
        picture.quantize(128, dither=Image.Dither.NONE).save(goal, optimize=True)


if __name__ == "__main__":
    for path in main(*sys.argv[1:]):
        print(f"wrote {path}")
