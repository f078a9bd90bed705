"""Public contract tests: what every model and every data set must keep."""

from unbraid.testing.datasets import DATASET_CHECKS, check_dataset
from unbraid.testing.models import CHECKS, build_small, check_model, tiny_batch, variants

__all__ = [
    "CHECKS",
    "DATASET_CHECKS",
    "build_small",
    "check_dataset",
    "check_model",
    "tiny_batch",
    "variants",
]
