"""Sprites: small figures of the Liberated Pixel Cup that walk, cast a spell and slash, in three directions.

1296 characters (six skins, trousers, tops, hairs) times nine motions (three actions, three directions), 8 RGB frames of
64x64. The clips are composed here from the artists' sheets, as Y. Li and S. Mandt did for "Disentangled Sequential
Autoencoder" (ICML 2018, https://arxiv.org/abs/1803.02991): with the same cells, layers and characters, and the same split
of 1000 characters for training (9000 clips) and 296 for testing (2664 clips).

The last 100 training characters in the authors' order, which is random, are the validation split (900 clips), so no
character is in two splits. Rows are ordered train, validation, test; inside a split by character in that order, then by
motion. Frames are uint8 and are divided by 255; the authors divide by 256.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from unbraid.cards import DataCard
from unbraid.data.checks import check_choice
from unbraid.data.download import fetch_files
from unbraid.data.labels import Label
from unbraid.data.sequences import Sequences
from unbraid.data.splits import consecutive_splits
from unbraid.data.store import Space, download_folder, from_published, require_files

__all__ = ["card", "fetch", "load"]

card = DataCard(
    name="sprites",
    summary="1296 pixel figures in nine motions: 11,664 clips of 8 RGB frames, 64x64",
    source="Liberated Pixel Cup artists, collected by https://github.com/YingzhenLi/Sprites",
    licence="CC BY-SA 3.0 and GPL 3.0",
    obtain="unbraid data fetch sprites (25 PNG sheets, 0.5 MB), or --data.root with their folder",
    shape=(8, 3, 64, 64),
    kind="frames",
    protocols=("generation", "leakage"),
)

COMMIT = "3ce4048c5227802bd8f1888e293fd3afdba91c0c"
BASE_URL = f"https://raw.githubusercontent.com/YingzhenLi/Sprites/{COMMIT}/"
SHEETS = {
    "body/0.png": "27d1ac78db37c42f35a20d15c42705efc5e58d47c236cc01423879d4f797f151",
    "body/1.png": "1535e9228357b884df80f777a0d1dac10ac35e550e4d8d077105ccad014a1460",
    "body/2.png": "7c241033b4897501cb3721b6c3a9ebfa94b13db10a539edbd9bcc3e0c2a4bcb9",
    "body/3.png": "055f5aa33fc112d8444b42fce2cf50608a9fbbf2466c54ceaa46c777589a717a",
    "body/4.png": "57f3b9c510482379aba9a32fc0de7d48e9cbe3dc40f2447283547f773b77ca72",
    "body/5.png": "91e49453aeab5ebbb4fd2b48253812895dcfb4cb1829b84e24425c66de8f04ff",
    "bottomwear/0.png": "4ec356c488e272fde2d2d0d722b12a80217871e41161d43ba784caf243969ec2",
    "bottomwear/1.png": "0674312eaa4ab548f8bb31ef95d7dbd46b41555758cec51bd6c3e9fac9a0f936",
    "bottomwear/2.png": "3b464feb0d20ff34b0ca2a6d1fd00766ad86e2229c3d56ff91379fe27588a893",
    "bottomwear/3.png": "b366e84ea0519d06cf693f51e0ee2f9ac32b3132d27c75dfdc4b6f52fca072de",
    "bottomwear/4.png": "4ed7e7702e4f50b9692c0043be04b7296a108d85ea97230fb50d13c150d98771",
    "bottomwear/5.png": "a5c5e7e33f13fe5ad37b5836a5a74fb0d2094a0877c2146961b88688ff85840d",
    "topwear/0.png": "b917edcf2b3c35d51ef57a6fad67557c5edf048785bea29db09a640d09ac9a90",
    "topwear/1.png": "e33c6cb31ed1268a2c0dc73b665b1c9b9420e22baf3321880222bdb22682368b",
    "topwear/2.png": "2b9b8fefa08894b7ea536cd62b86d494aefe6e54495c5c1d83460827b13b6448",
    "topwear/3.png": "807f5b628592f6747e2814be9435963069dba6c360577168c02f57bbe903433d",
    "topwear/4.png": "b51b17878503877e179ce4f9231713bf2b2d2d666c3ec9ee29f4e784469867a2",
    "topwear/5.png": "1b6049d43f83ebfda857cc405d1936ac9fd80be480fa6ad239024a6a75ad0372",
    "hair/0.png": "e4007b0635a239ad16cdebfe90759349ccc73dfc6836c9d19625714be185f43d",
    "hair/1.png": "fa6369f84d3310705df6d8ca8c9d515a7d211e73d2826c50a9cb5bb285652c66",
    "hair/2.png": "1b8046752be7233e829ebe9b11048e171d8d181ee6f68e07042b34f57bb8af0d",
    "hair/3.png": "333783285c5fd94ff434ae5000d2da39aac7940269f173119eaa70d34c8acfa1",
    "hair/4.png": "24df8e9b291cbd444f6c4d12d35b3d43d909cd13f04e6401e0fd8ab10216d5a2",
    "hair/5.png": "4dd471cc20e0b1cf71adcaab01c88598767e5cfe680adacdf560ca91574f17ae",
    "shoes/1.png": "d56a561616a20a12030d2d40a52eeec63e6d048871bf3b6994221869362151f1",
}
CELL = 64
SHEET_SIZE = (13 * CELL, 21 * CELL)
LAYERS = ("body", "bottomwear", "topwear", "hair")  # in the order of drawing; shoes/1 comes last
ATTRIBUTES = {
    "skin": ("fair", "golden", "grey", "silver", "tan", "brown"),
    "trousers": ("white", "gold plate", "red", "steel plate", "teal", "green"),
    "top": ("maroon shirt", "cyan shirt", "white shirt", "steel plate", "leather vest", "open jacket"),
    "hair": ("green spikes", "blue bun", "orange spikes", "white strands", "red bob", "purple curls"),
}
ACTIONS = ("walk", "spellcast", "slash")
DIRECTIONS = ("front", "left", "right")
ROWS = {"walk": (10, 9, 11), "spellcast": (2, 1, 3), "slash": (14, 13, 15)}
COLUMNS = {
    "walk": (8, 1, 2, 3, 4, 5, 6, 7),
    "spellcast": (0, 1, 2, 3, 4, 5, 4, 6),
    "slash": (0, 1, 2, 3, 4, 5, 4, 0),
}
MOTIONS = tuple(f"{action} {direction}" for action in ACTIONS for direction in DIRECTIONS)
STEPS = 8
SPLIT_SEED = 423
TRAINING_CHARACTERS, VALIDATION_CHARACTERS = 1000, 100


def load(root: str | Path | None = None, cache: str | Path | None = None, *, size: int = 64) -> Sequences:
    """Load Sprites: `(11664, 8, 3, size, size)` uint8, splits train 8100, validation 900, test 2664.

    Static labels skin, trousers, top, hair (six classes each); dynamic label motion (nine classes) and its parts
    action and direction (three each).

    Args:
        root: the folder with the sheets (`body/0.png` ...); None for the folder that `fetch` downloads to.
        cache: where the prepared clips (72 MB to 1.2 GB) are kept; None for UNBRAID_CACHE or the user's cache folder.
        size: side of the frames: 64 pixels, or 32 or 16 by area averaging.

    Raises:
        FileNotFoundError: the folder or a sheet is missing.
        ValueError: a sheet cannot be read or has another size; another `size`.
    """
    check_choice("size", size, (16, 32, 64))
    return from_published(
        "sprites",
        {"size": size},
        {"sheets": _digest(SHEETS)},
        lambda folder: _digest(_check_sheets(folder)),
        lambda space, folder: _build(space, folder, size),
        root,
        cache,
    )


def fetch(folder: str | Path | None = None, *, base_url: str | None = None) -> Path:
    """Download the 25 sheets, each checked against its hash; sheets that are there already are kept.

    Args:
        folder: where to put them; None for the cache's download folder, where `load` looks.
        base_url: the address that the sheets' names are appended to; None for the published one.

    Raises:
        ConnectionError: a sheet cannot be downloaded.
        ValueError: a downloaded sheet has another hash.
    """
    target = download_folder("sprites") if folder is None else Path(folder).expanduser()
    return fetch_files(target, base_url or BASE_URL, SHEETS)


def characters() -> np.ndarray:
    """The 1296 characters in the authors' random order: 216 skin + 36 trousers + 6 top + hair."""
    return np.random.RandomState(SPLIT_SEED).permutation(6**4)


def _check_sheets(folder: Path) -> dict[str, str]:
    """Refuse missing or unreadable sheets; gives the hash of each."""
    require_files("sprites", [folder / name for name in SHEETS])
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in SHEETS}
    for name in SHEETS:
        if hashes[name] != SHEETS[name]:
            _read_sheet(folder / name)
    return hashes


def _digest(hashes: dict[str, str]) -> str:
    return hashlib.sha256("".join(hashes[name] for name in SHEETS).encode()).hexdigest()[:16]


def _read_sheet(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            sheet = image.convert("RGBA")  # most are palette images
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"root: {path} is damaged or no image ({error}); fetch it again") from error
    if sheet.size != SHEET_SIZE:
        raise ValueError(f"root: {path} is {sheet.width}x{sheet.height} pixels; a sheet is 832x1344")
    return sheet


def _strip(path: Path) -> Image.Image:
    """The 72 cells of a sheet that the nine motions use, one below the other, in the order of the labels."""
    sheet = _read_sheet(path)
    strip = Image.new("RGBA", (CELL, len(MOTIONS) * STEPS * CELL))
    cells = [(row, column) for action in ACTIONS for row in ROWS[action] for column in COLUMNS[action]]
    for place, (row, column) in enumerate(cells):
        left, top = column * CELL, row * CELL
        strip.paste(sheet.crop((left, top, left + CELL, top + CELL)), (0, place * CELL))
    return strip


def _build(space: Space, folder: Path, size: int) -> Sequences:
    order = characters()
    x = space.create((len(order) * len(MOTIONS), STEPS, 3, size, size))
    place = np.argsort(order)  # where each character stands in the authors' order
    shape = (len(MOTIONS), STEPS, size, size, 3)
    for done, (character, strip) in enumerate(_compose(folder)):
        frames = np.asarray(strip.convert("RGB").reduce(CELL // size)).reshape(shape)
        start = int(place[character]) * len(MOTIONS)
        x[start : start + len(MOTIONS)] = frames.transpose(0, 1, 4, 2, 3)
        space.advance(done + 1, len(order))
    counts = {
        "train": TRAINING_CHARACTERS - VALIDATION_CHARACTERS,
        "validation": VALIDATION_CHARACTERS,
        "test": len(order) - TRAINING_CHARACTERS,
    }
    splits = consecutive_splits({name: count * len(MOTIONS) for name, count in counts.items()})
    return Sequences(x, "sprites", labels=_labels(order), splits=splits)


def _compose(folder: Path) -> Iterator[tuple[int, Image.Image]]:
    """Every character by its number, its 72 frames one below the other, on opaque black."""
    layers = [[_strip(folder / f"{layer}/{variant}.png") for variant in range(6)] for layer in LAYERS]
    shoes = _strip(folder / "shoes/1.png")

    def add(below: Image.Image, number: int, depth: int) -> Iterator[tuple[int, Image.Image]]:
        if depth == len(layers):
            yield number, Image.alpha_composite(below, shoes)
            return
        for variant, layer in enumerate(layers[depth]):
            yield from add(Image.alpha_composite(below, layer), 6 * number + variant, depth + 1)

    yield from add(Image.new("RGBA", shoes.size, (0, 0, 0, 255)), 0, 0)


def _labels(order: np.ndarray) -> dict[str, Label]:
    character = np.repeat(order, len(MOTIONS))
    motion = np.tile(np.arange(len(MOTIONS)), len(order))
    labels = {
        name: Label(character // 6 ** (3 - place) % 6, classes, "static")
        for place, (name, classes) in enumerate(ATTRIBUTES.items())
    }
    labels["motion"] = Label(motion, MOTIONS, "dynamic")
    labels["action"] = Label(motion // 3, ACTIONS, "dynamic", part_of="motion")
    labels["direction"] = Label(motion % 3, DIRECTIONS, "dynamic", part_of="motion")
    return labels
