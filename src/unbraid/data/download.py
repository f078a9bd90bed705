"""Download published files, each checked against its hash."""

from collections.abc import Mapping
from pathlib import Path

import pooch

__all__ = ["fetch_files"]


def fetch_files(folder: Path, base_url: str, hashes: Mapping[str, str]) -> Path:
    """Download files into a folder; files that are there with the right hash are kept.

    Args:
        folder: where to put them.
        base_url: the address that the files' names are appended to.
        hashes: name of each file to its SHA-256.

    Raises:
        ConnectionError: a file cannot be downloaded.
        ValueError: a downloaded file has another hash; it is deleted.

    Returns:
        The folder.
    """
    source = pooch.create(folder, base_url.rstrip("/") + "/", registry=dict(hashes), retry_if_failed=1)
    for name in hashes:
        try:
            source.fetch(name)
        except ValueError as error:
            raise ValueError(f"{name}: {source.get_url(name)} is not the published file ({error})") from error
        except OSError as error:  # the errors of requests are OSErrors
            raise ConnectionError(
                f"{name}: cannot download {source.get_url(name)} to {folder} ({error}); "
                "try again, or download it yourself and pass --data.root"
            ) from error
    return folder
