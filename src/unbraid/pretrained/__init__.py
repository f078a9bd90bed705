"""Trained models to pass on: where they are found, how they are written, and those that come with the package.

A pretrained model is a folder like a run's, without what only training needs: `README.md` (the model card), `config.yaml`,
`environment.json`, `model/` and `evaluation/`. So whatever opens a run opens it too.
"""
