"""`unbraid export RUN`: write encoder and decoder for other programs."""

from pathlib import Path
from typing import Literal

from unbraid.cli.parser import call

__all__ = ["export", "main"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(export, "export", arguments)


def export(
    run: Path, format: Literal["onnx", "torch"] = "onnx", output: Path = Path("exported"), force: bool = False
) -> int:
    """Write a trained model's encoder and decoder as files that run without unbraid.

    The numbers of sequences and steps are free. Scaling of features is part of the files, so both sides are in the units of
    the training data. export.json says what goes in and comes out.

    Args:
        run: folder of the run, or name of a pretrained model.
        format: onnx (needs the extra export), or torch for files of torch.export.
        output: folder of the files.
        force: overwrite files of an earlier export.
    """
    from unbraid import export as write
    from unbraid.cli.output import check_output
    from unbraid.exporting import exported_files
    from unbraid.training import open_run

    for path in exported_files(output, format).values():
        check_output(path, (path.suffix,), force)
    for path in write(open_run(run), output, format):
        print(f"wrote {path}")
    return 0
