"""The Lightning plan round any model, runs and their folders."""

from unbraid.training.config import TrainingConfig
from unbraid.training.run import Run, fit, open_run, resume

__all__ = ["Run", "TrainingConfig", "fit", "open_run", "resume"]
