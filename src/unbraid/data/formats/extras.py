"""Packages that are installed only on request: one error that says how to get them."""

__all__ = ["missing_extra"]


def missing_extra(what: str, extra: str) -> ImportError:
    """The error of a package that is not installed.

    Args:
        what: file or task that needs it.
        extra: group of optional packages in unbraid's pyproject.toml.
    """
    return ImportError(
        f"{what} needs the extra `{extra}`; in the folder of unbraid's source run: pip install '.[{extra}]'"
    )
