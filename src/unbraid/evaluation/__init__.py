"""Protocols that score a trained model: the judge, and generation by exchanging or drawing a code."""
