"""From the name of a pretrained model to its folder: a folder, a model of the package, or one of the Hugging Face Hub."""

import re
from pathlib import Path

from unbraid.io import load_model
from unbraid.models.base import SequenceModel
from unbraid.pretrained.hub import pull
from unbraid.words import nearest

__all__ = ["from_pretrained", "list_pretrained", "locate"]

PACKAGED = Path(__file__).parent
HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?")


def from_pretrained(name: str | Path, device: str = "cpu") -> SequenceModel:
    """Load a trained model, in evaluation mode.

    >>> from_pretrained("puppets/dbse").card.name
    'dbse'

    Args:
        name: a folder (of a run, or written by `save_pretrained`), the name of a model that comes with the package
            (`puppets/dbse`), or `user/name` on the Hugging Face Hub, with `@revision` for one commit, tag or branch.
        device: of the model.

    Raises:
        FileNotFoundError: there is no model of that name.
        ModuleNotFoundError: the model has to be downloaded, and huggingface_hub is not installed.
        ValueError: a file of the model is damaged.
    """
    return load_model(locate(name), device)


def list_pretrained() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.relative_to(PACKAGED).as_posix() for path in PACKAGED.glob("*/*/config.yaml"))


def locate(name: str | Path) -> Path:
    """The folder of a run or of a pretrained model; one on the Hugging Face Hub is downloaded into the hub's cache.

    What is there under the name as a path comes first, then the package, then the hub. A name like `runs/mine` is not
    looked up on the hub where there is a folder `runs`.

    Args:
        name: see `from_pretrained`.

    Raises:
        FileNotFoundError: there is no folder and no model of that name.
        ModuleNotFoundError: the model has to be downloaded, and huggingface_hub is not installed.
    """
    path = Path(name).expanduser()
    text = path.as_posix()
    if path.exists():
        return path
    if text in list_pretrained():
        return PACKAGED / text
    if not HUB_NAME.fullmatch(text) or Path(text.partition("/")[0]).is_dir():
        raise FileNotFoundError(
            f"{name}: there is no such folder, and no model of that name comes with unbraid"
            f"{nearest(text, list_pretrained())}"
        )
    repository, _, revision = text.partition("@")
    return pull(repository, revision or None)
