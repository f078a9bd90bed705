"""Models on the Hugging Face Hub: download into its cache, and upload. Needs the extra `hub`."""

import re
from pathlib import Path
from types import ModuleType

__all__ = ["NAME", "check_repository", "pull", "push"]

NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")

FILES = (
    "README.md",
    "config.yaml",
    "environment.json",
    "model/model.json",
    "model/model.safetensors",
    "model/features.json",
    "evaluation/*.json",
)
"""The files of a pretrained model. Others in a repository are not downloaded."""


def pull(repository: str, revision: str | None = None) -> Path:
    """Download a model, or find it in the hub's cache when the hub cannot be reached.

    The environment variables of huggingface_hub are followed: HF_HOME (the cache), HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE.

    Args:
        repository: `user/name`.
        revision: a commit, tag or branch; by default the newest commit of the main branch.

    Returns:
        The folder in the cache.

    Raises:
        FileNotFoundError: there is no such model, or it is private, or it is not in the cache and the hub cannot be reached.
        ModuleNotFoundError: huggingface_hub is not installed.
    """
    hub = _hub(repository)
    where = repository if revision is None else f"{repository}@{revision}"
    try:
        folder = Path(hub.snapshot_download(repository, revision=revision, allow_patterns=list(FILES)))
    except hub.errors.RevisionNotFoundError:
        raise FileNotFoundError(f"{where}: the model on the hub has no such revision") from None
    except hub.errors.RepositoryNotFoundError:
        raise FileNotFoundError(
            f"{where}: there is no such folder, no such model comes with unbraid, and the Hugging Face Hub has none that "
            "you may read (a private one: log in with `hf auth login` first)"
        ) from None
    except hub.errors.LocalEntryNotFoundError:
        raise FileNotFoundError(
            f"{where}: there is no such folder, no such model comes with unbraid, and the Hugging Face Hub cannot be "
            "reached; it is not in the hub's cache either"
        ) from None
    if not (folder / "model" / "model.json").is_file():
        raise FileNotFoundError(f"{where}: the repository on the hub holds no model of unbraid")
    return folder


def push(folder: str | Path, repository: str, private: bool = False) -> str:
    """Upload a pretrained model; the repository is made where it is missing.

    Args:
        folder: written by `save_pretrained`.
        repository: `user/name`.
        private: whether a new repository is private; one that is there stays as it is.

    Returns:
        The address of the commit.

    Raises:
        ConnectionError: the hub refused, as without login or right to write, or cannot be reached.
        ModuleNotFoundError: huggingface_hub is not installed.
    """
    hub = _hub(repository)
    api = hub.HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=list(FILES),
            commit_message="Upload a model of unbraid",
        )
    except hub.errors.HfHubHTTPError as error:
        raise ConnectionError(
            f"{repository}: the Hugging Face Hub refused ({' '.join(str(error).split())}); log in with `hf auth login`, with "
            "a token that may write there"
        ) from None
    return commit.commit_url


def check_repository(repository: str) -> None:
    """Refuse a name that is none on the hub, and a missing library, before any work.

    Raises:
        ValueError: the name is not of the form `user/name`.
        ModuleNotFoundError: huggingface_hub is not installed.
    """
    if not NAME.fullmatch(repository):
        raise ValueError(f"repository: {repository!r} must be user/name, as on the Hugging Face Hub")
    _hub(repository)


def _hub(repository: str) -> ModuleType:
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"{repository}: there is no such folder, and no such model comes with unbraid; to use the Hugging Face Hub: "
            "pip install '.[hub]' in the folder of unbraid's source"
        ) from None
    return huggingface_hub
