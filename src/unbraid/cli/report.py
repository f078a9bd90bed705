"""`unbraid report RUN [RUN ...]`: write reports again, or the pictures of several runs side by side."""

from pathlib import Path

from unbraid.cli.parser import call

__all__ = ["main", "report"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(report, "report", arguments)


def report(runs: list[Path], output: Path | None = None) -> int:
    """Write RUN/report.html of each run from what its folder holds; with --output a gallery of all runs side by side.

    Args:
        runs: folders of runs; for a gallery also names of pretrained models, as puppets/dbse.
        output: folder of the gallery, which must not exist or be empty. Its index.html opens without a server.
    """
    from unbraid.report.gallery import write_gallery
    from unbraid.report.page import write_report

    if not runs:
        raise ValueError("report: RUN is missing; give the folders of one or more runs")
    if output is not None:
        print(f"wrote {write_gallery(runs, output)}")
        return 0
    for run in runs:
        print(f"wrote {write_report(run)}")
    return 0
