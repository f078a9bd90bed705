"""`unbraid record RUN`: append a trained and scored run to the ledger, and write the pages of results again."""

from pathlib import Path

from unbraid.cli.parser import call

__all__ = ["main", "record"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(record, "record", arguments)


def record(run: list[Path], results: Path = Path("results")) -> int:
    """Append trained and scored runs to the ledger of results, then write the pages of results again.

    Without a run it only writes the pages.

    Args:
        run: folders of runs that are scored on their test split.
        results: folder of the ledger. The pages are written where it is the folder `results` of a repository, beside
            the README, which gets its tables as well.
    """
    from unbraid.benchmark.ledger import record as append
    from unbraid.benchmark.pages import write_pages

    results = results.resolve()
    for folder in run:
        row = append(folder, results / "ledger.csv")
        print(f"recorded {row['recipe']}, seed {row['seed']}, in {results / 'ledger.csv'}")
    if results.name == "results" and (results.parent / "README.md").is_file():
        for path in write_pages(results.parent):
            print(f"wrote {path}")
    return 0
