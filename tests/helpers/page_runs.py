"""Runs for the tests of the page."""

from unbraid.training import Run

HOSTILE = "<img src=x onerror=alert(1)> & ${1+1} {{1+1}}"


def run_of(folder, model, data):
    """A run without files."""
    return Run(folder, model.eval(), {"data": {"name": data.name}, "model": {"name": model.card.name}})
