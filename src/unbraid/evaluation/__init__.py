"""Protocols that score a trained model: generation by exchanging or drawing a code, and telling labels from codes."""

from unbraid.evaluation.downstream import evaluate_downstream
from unbraid.evaluation.generation import evaluate_generation, write_generation
from unbraid.evaluation.judge import Judge, judge_probabilities, load_judge, save_judge, train_judge

__all__ = [
    "Judge",
    "evaluate_downstream",
    "evaluate_generation",
    "judge_probabilities",
    "load_judge",
    "save_judge",
    "train_judge",
    "write_generation",
]
