"""Public contract tests: what every model and every data set must keep."""

from unbraid.testing.models import CHECKS, check_model, tiny_batch

__all__ = ["CHECKS", "check_model", "tiny_batch"]
