"""Gradients of a training step of every method; run as a script by two processes it stores those of the first.

python tests/helpers/joint_step.py FILE
"""

import sys
import tempfile
from pathlib import Path

import lightning
import numpy as np
import torch

from unbraid.data.sequences import Sequences
from unbraid.registry import model_class
from unbraid.training import TrainingConfig, fit

TRAINING = {"steps": 1, "batch_size": 8, "precision": "float32", "device": "cpu"}
SMALL = {
    "static_size": 3,
    "dynamic_size": 4,
    "features": 6,
    "hidden": 5,
    "width": 4,
    "latent_size": 9,
    "static_units": 2,
}
FRAMES, WINDOW, VECTOR = (3, 16, 16), (4, 3), (7,)
CASES = {
    "dbse": ("dbse", FRAMES, {}),
    "dbse, several draws": ("dbse", WINDOW, {"samples": 3, "anchor": "random_batch"}),
    "c_dsvae": ("c_dsvae", FRAMES, {}),
    "c_dsvae, sampling": ("c_dsvae", VECTOR, {"static_estimate": "mws", "dynamic_estimate": "mws"}),
    "spyl": ("spyl", FRAMES, {}),
    "spyl, drawn negatives": ("spyl", VECTOR, {"choice": "random"}),
    "spyl, negatives of the batch": ("spyl", VECTOR, {"negatives": "batch"}),
    "s3vae": ("s3vae", VECTOR, {}),
    "r_wae": ("r_wae", VECTOR, {}),
    "r_wae, critic": ("r_wae", VECTOR, {"divergence": "gan"}),
    "mocogan": ("mocogan", FRAMES, {}),
    "pooled": ("pooled", VECTOR, {"static_view": "halves"}),
    "skd": ("skd", VECTOR, {}),
    "ssm_skd": ("ssm_skd", VECTOR, {}),
    "fhvae": ("fhvae", VECTOR, {}),
    "dsvae": ("dsvae", VECTOR, {}),
    "gp_vae": ("gp_vae", WINDOW, {}),
    "glr": ("glr", WINDOW, {}),
    "braid": ("braid", WINDOW, {}),
    "vae": ("vae", WINDOW, {"samples": 2}),
    "c_dsvae, each process its own": ("c_dsvae", VECTOR, {"compare": "process"}),
}


class Gradients(lightning.Callback):
    """Keeps the terms, gradients and buffers of the first step; of a phase with repeats the last gradients."""

    def __init__(self):
        self.kept = {}

    def on_train_batch_end(self, trainer, plan, outputs, batch, batch_idx):
        if self.kept:
            return
        model = plan.model
        self.kept = {
            "terms": dict(outputs["losses"].terms),
            "gradients": {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None},
            "buffers": {n: b.clone() for n, b in model.named_buffers() if b.is_floating_point()},
        }


def noise(observation: tuple[int, ...]) -> Sequences:
    """Sequences of different lengths with hidden values."""
    random = np.random.default_rng(0)
    x = random.random((40, 5, *observation), dtype=np.float32)
    if len(observation) == 3:
        return Sequences.from_arrays((255 * x).astype(np.uint8), name="noise")
    mask = random.random(x.shape) < 0.8
    mask[:, :2] = True
    return Sequences.from_arrays(x, mask=mask, name="noise")


def first_step(case: str) -> dict[str, dict[str, torch.Tensor]]:
    """Terms, gradients and buffers of a case's first training step, in this process or in the group's."""
    name, observation, settings = CASES[case]
    names = model_class(name).setting_names()
    settings = {key: value for key, value in SMALL.items() if key in names} | settings
    gradients = Gradients()
    with tempfile.TemporaryDirectory() as folder:
        # The processes agree on the first one's folder.
        fit(
            noise(observation),
            name,
            folder=Path(folder) / "run",
            settings=settings,
            training=TrainingConfig(**TRAINING),
            callbacks=[gradients],
            quiet=True,
        )
    return gradients.kept


if __name__ == "__main__":
    torch.set_num_threads(1)
    from unbraid.processes import joined

    with joined("cpu") as process:
        found = {case: first_step(case) for case in sys.argv[2:] or CASES}
        if process.is_first:
            torch.save(found, sys.argv[1])
