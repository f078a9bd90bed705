"""Protocols that score a trained model: generation by exchanging or drawing a code (with a judge), verification."""

from unbraid.evaluation.generation import evaluate_generation, write_generation
from unbraid.evaluation.judge import Judge, judge_probabilities, load_judge, save_judge, train_judge
from unbraid.evaluation.verification import equal_error_rate, evaluate_verification

__all__ = [
    "Judge",
    "equal_error_rate",
    "evaluate_generation",
    "evaluate_verification",
    "judge_probabilities",
    "load_judge",
    "save_judge",
    "train_judge",
    "write_generation",
]
