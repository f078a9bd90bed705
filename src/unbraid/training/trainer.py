"""The Lightning trainer of a plan: one process, or several that train as one."""

from collections.abc import Sequence

import lightning
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy

from unbraid.processes import processes_here
from unbraid.training.callbacks.checkpoints import CheckpointFiles
from unbraid.training.plan import Plan

__all__ = ["build_trainer"]


def build_trainer(
    plan: Plan, callbacks: Sequence[lightning.Callback], loggers: Sequence[Logger], validate_first: bool
) -> lightning.Trainer:
    """A trainer without Lightning's own checkpoints, bars and samplers.

    Args:
        plan: what it will train.
        callbacks: in the order in which they are called.
        loggers: that rows of metrics are handed to.
        validate_first: whether the validation split is gone through before the first step.
    """
    together = plan.process.count > 1
    environment = TorchElasticEnvironment() if together else None
    here = processes_here() if together else 1
    return lightning.Trainer(
        accelerator="cpu" if plan.device_name == "cpu" else "gpu",
        devices=here,
        num_nodes=plan.process.count // here,
        strategy=_together(plan) if together else "auto",
        max_epochs=plan.epochs,
        callbacks=list(callbacks),
        plugins=[CheckpointFiles(), *([environment] if environment else [])],
        logger=list(loggers) or False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=-1 if validate_first else 0,
        use_distributed_sampler=False,
    )


def _together(plan: Plan) -> DDPStrategy:
    """Averaged gradients. Buffers need no broadcast, as batch norm reads the batches of all processes."""
    return DDPStrategy(find_unused_parameters=plan.leaves_parameters_out(), broadcast_buffers=False)
