"""Public contract tests: what every model and every data set must keep."""

from unbraid.testing.models import CHECKS, build_small, check_model, tiny_batch, variants

__all__ = ["CHECKS", "build_small", "check_model", "tiny_batch", "variants"]
