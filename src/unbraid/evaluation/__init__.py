"""Protocols that score a trained model: generation, leakage, downstream tasks, verification of speakers, factors."""

from unbraid.evaluation.downstream import evaluate_downstream
from unbraid.evaluation.error_rates import equal_error_rate
from unbraid.evaluation.factor_maps import exchange_factors, factor_map
from unbraid.evaluation.factors import evaluate_factors
from unbraid.evaluation.generation import evaluate_generation
from unbraid.evaluation.judge import Judge, judge_probabilities, load_judge, save_judge, train_judge
from unbraid.evaluation.leakage import evaluate_leakage
from unbraid.evaluation.protocol import Protocol, fitting_protocols, run_protocols, why_no_protocol
from unbraid.evaluation.scores import Figure, Scores, figures, read_scores, write_scores
from unbraid.evaluation.verification import evaluate_verification

__all__ = [
    "Figure",
    "Judge",
    "Protocol",
    "Scores",
    "equal_error_rate",
    "evaluate_downstream",
    "evaluate_factors",
    "evaluate_generation",
    "evaluate_leakage",
    "evaluate_verification",
    "exchange_factors",
    "factor_map",
    "figures",
    "fitting_protocols",
    "judge_probabilities",
    "load_judge",
    "read_scores",
    "run_protocols",
    "save_judge",
    "train_judge",
    "why_no_protocol",
    "write_scores",
]
