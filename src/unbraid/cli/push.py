"""`unbraid push RUN user/name`: publish a model on the Hugging Face Hub."""

from pathlib import Path
from typing import Literal

from unbraid.cli.parser import call

__all__ = ["main", "push"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(push, "push", arguments)


def push(
    run: Path,
    repository: str,
    dtype: Literal["float32", "bfloat16"] = "float32",
    licence: str | None = None,
    private: bool = False,
) -> int:
    """Publish a trained model on the Hugging Face Hub: weights, settings, scores and model card.

    `unbraid encode user/name ...` and the other commands then take it everywhere. Needs the extra hub and a login:
    `hf auth login`. Names of your files and folders stay here, but for the last part of the data's path.

    Args:
        run: folder of the run, or name of a pretrained model.
        repository: user/name; made where it is missing.
        dtype: of the stored weights; bfloat16 halves the file, and the model is scored anew.
        licence: of the weights, as the hub writes it: apache-2.0, mit, cc-by-4.0. By default it is left open.
        private: make a new repository private.
    """
    import tempfile

    from unbraid.pretrained.hub import check_repository
    from unbraid.pretrained.hub import push as upload
    from unbraid.pretrained.saving import save_pretrained
    from unbraid.training import open_run

    check_repository(repository)
    with tempfile.TemporaryDirectory() as place:
        folder = save_pretrained(
            open_run(run).model, Path(place) / "model", dtype=dtype, licence=licence, name=repository
        )
        print(f"pushed to {upload(folder, repository, private)}")
    return 0
