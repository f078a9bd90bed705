"""The examples in the docstrings of the data wing."""

import doctest
import importlib

import pytest

EXAMPLES = {"splits": 1, "own.labels": 1, "formats.paths": 1}


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples(module):
    failed, tried = doctest.testmod(importlib.import_module(f"unbraid.data.{module}"))
    assert failed == 0 and tried == EXAMPLES[module]
