"""Recipes, seeds and speed: the ledger of trained runs, the tables made from it, and `unbraid speed`."""
