"""Protocols that score a trained model: generation by exchanging or drawing a code, and telling labels from codes."""

from unbraid.evaluation.downstream import evaluate_downstream
from unbraid.evaluation.generation import evaluate_generation
from unbraid.evaluation.judge import Judge, judge_probabilities, load_judge, save_judge, train_judge
from unbraid.evaluation.leakage import evaluate_leakage
from unbraid.evaluation.protocols import (
    PROTOCOLS,
    figures,
    fitting_protocols,
    read_scores,
    run_protocols,
    write_scores,
)

__all__ = [
    "PROTOCOLS",
    "Judge",
    "evaluate_downstream",
    "evaluate_generation",
    "evaluate_leakage",
    "figures",
    "fitting_protocols",
    "judge_probabilities",
    "load_judge",
    "read_scores",
    "run_protocols",
    "save_judge",
    "train_judge",
    "write_scores",
]
