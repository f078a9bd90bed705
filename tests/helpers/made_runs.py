"""Scores and run folders as trainings and evaluations leave them, without any training."""

import json

import yaml

from unbraid.recipes import resolve_recipe


def figure(mean, std=0.0, floor=0.1):
    return {"mean": mean, "std": std, "floor": floor}


def scores(accuracy, split="test"):
    def label(kind, part_of=None):
        return {"kind": kind, "part_of": part_of, "classes": 3, "chance": 1 / 3, "majority": 0.4}

    shares = {"skin": figure(0.2), "hair": figure(0.1), "motion": figure(accuracy), "action": figure(0.99)}
    return {
        "accuracy": figure(accuracy, 0.002),
        "inception_score": figure(8.5),
        "squared_error_per_clip": figure(70.25),
        "keep_dynamic": shares,
        "keep_static": shares | {"motion": figure(0.12)},
        "judge": {"accuracy": {"skin": figure(0.995), "motion": figure(1.0)}, "trusted": True},
        "protocol": {"split": split},
        "labels": {
            "skin": label("static"),
            "hair": label("static"),
            "motion": label("dynamic"),
            "action": label("dynamic", "motion"),
        },
    }


LEAKAGE = {"latent": {"static": {"skin": figure(0.75)}}, "protocol": {"split": "test"}}


def write_run(folder, config, scores_by_protocol, fingerprint="abc", commit="1234"):
    """A finished run's folder, with the scores of every protocol."""
    (folder / "evaluation").mkdir(parents=True)
    (folder / "model").mkdir()
    (folder / "model" / "model.json").write_text("{}")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    environment = {
        "commit": commit,
        "data_fingerprint": fingerprint,
        "processor": "P",
        "cores": 2,
        "device": "cpu",
        "seconds": 600.0,
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    (folder / "metrics.csv").write_text("step,epoch,split\n10,0,train\n20,11,train\n20,11,validation\n")
    for protocol, values in scores_by_protocol.items():
        (folder / "evaluation" / f"{protocol}.json").write_text(json.dumps(values))
    return folder


def settings(recipe, **changes):
    """The settings of a run: `settings("sprites/dbse", model__width=64)` has another width."""
    return resolve_recipe(recipe, {name.replace("__", "."): value for name, value in changes.items()})
