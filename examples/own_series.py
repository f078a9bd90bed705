"""From a CSV file to a fitted Pipeline: `python examples/own_series.py [FILE.csv]`; without a file, made-up series."""

import sys

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import unbraid as ub


def machines(n: int = 60) -> pd.DataFrame:
    """Load and temperature of two kinds of machine over three to five days; a tenth of the values is missing."""
    random, parts = np.random.default_rng(0), []
    for i in range(n):
        hour, kind = np.arange(random.integers(72, 120)), i % 2
        load = np.sin(2 * np.pi * (hour + random.integers(24)) / 24)
        values = np.stack([load, 40 + 8 * load + 5 * kind], 1) + random.normal(size=(len(hour), 2))
        values[random.random(values.shape) < 0.1] = np.nan
        parts.append(pd.DataFrame(values, columns=["load", "heat"]).assign(id=i, hour=hour, kind=kind))
    return pd.concat(parts)


def main(file: str | None = None, steps: int = 800) -> Pipeline:
    """Predict `kind` of each series from its codes; the columns are id, hour, kind and the features (with gaps)."""
    groups = (machines() if file is None else pd.read_csv(file)).sort_values(["id", "hour"]).groupby("id")
    series = [rows.drop(columns=["id", "hour", "kind"]).to_numpy() for _, rows in groups]
    kinds = groups["kind"].first()
    codes = ub.SequenceDisentangler(window=12, dynamic="summary", steps=steps, random_state=0)
    pipeline = make_pipeline(codes, StandardScaler(), LogisticRegression())
    print("accuracy", cross_val_score(pipeline, series, kinds, cv=3).round(2))
    return pipeline.fit(series, kinds)


if __name__ == "__main__":
    main(*sys.argv[1:])
