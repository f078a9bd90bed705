"""Models on the Hugging Face Hub, played by a small server on loopback."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from small_hub import TOKEN, SmallHub, serving

from unbraid.cli import main
from unbraid.data.sequences import Sequences
from unbraid.generation import encode
from unbraid.io import load_model
from unbraid.pretrained.hub import FILES

hub_installed = pytest.mark.skipif(find_spec("huggingface_hub") is None, reason="needs the extra hub")


def at_hub(address, home, folder, commands, **environment):
    """Exit codes and output of commands in one process of their own, whose hub is the given address.

    huggingface_hub reads its settings when it is imported, and this process may have imported it.
    """
    code = (
        "import sys, json\nfrom unbraid.cli import main\n"
        "for words in json.loads(sys.argv[1]): print('exit', main(words), flush=True)"
    )
    settings = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(commands)],
        cwd=folder,
        env={**os.environ, **settings, "HF_TOKEN": TOKEN, **environment},
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr, done.stderr
    codes = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("exit")]
    return codes, done.stdout, done.stderr


@hub_installed
def test_a_model_is_pushed_and_pulled_and_found_in_the_cache(made_run, tmp_path):
    hub, home = SmallHub(), tmp_path / "home"
    x = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)

    def encoding(name, output):
        return ["encode", name, "x.npy", "--output", output]

    hub.repositories["ann/mine"] = []
    hub.commit("ann/mine", {"attack.py": b"raise SystemExit", "model/code.bin": b"x"})
    with serving(hub) as address:
        commands = [
            ["push", str(made_run), "ann/mine", "--licence", "mit"],
            encoding("ann/mine", "online.npz"),
            encoding("ann/none", "none.npz"),
            encoding("ann/mine@v2", "none.npz"),
            encoding("ann/mine@main", "main.npz"),
            ["push", str(made_run), "bob/refused"],
        ]
        codes, out, errors = at_hub(address, home, tmp_path, commands)
        assert codes == [0, 0, 2, 2, 0, 2], errors
        assert f"pushed to {address}/ann/mine/commit/" in out
        assert "ann/none: there is no such folder" in errors and "has none that you may read" in errors
        assert "ann/mine@v2: the model on the hub has no such revision" in errors
        assert "the Hugging Face Hub refused" in errors
        _, files = hub.repositories["ann/mine"][-1]
        assert set(files) >= {
            "README.md",
            "config.yaml",
            "model/model.safetensors",
            "evaluation/generation.json",
        }
        assert b'ub.from_pretrained("ann/mine")' in files["README.md"]
        assert not any(b"secret" in content for content in files.values())
        assert not [request for request in hub.requests if "attack" in request or "code.bin" in request]
        count = len(hub.requests)
        offline = [encoding("ann/mine", "offline.npz"), encoding("ann/other", "none.npz")]
        codes, _, errors = at_hub(address, home, tmp_path, offline, HF_HUB_OFFLINE="1")
        assert codes == [0, 2] and "it is not in the hub's cache either" in errors
        assert len(hub.requests) == count
    codes, _, errors = at_hub(address, home, tmp_path, [encoding("ann/mine", "gone.npz")])  # nobody answers
    assert codes == [0], errors
    expected = encode(load_model(made_run), Sequences(x)).static.numpy()
    for name in ("online", "main", "offline", "gone"):
        assert np.allclose(np.load(tmp_path / f"{name}.npz")["static"], expected, atol=1e-6)
    assert not (tmp_path / "none.npz").exists()
    assert "model/model.safetensors" in FILES


@hub_installed
def test_a_name_that_is_none_is_refused_before_any_work(made_run, capsys):
    assert main(["push", str(made_run), "mine"]) == 2
    assert "repository: 'mine' must be user/name" in capsys.readouterr().err


def test_without_the_library_the_extra_is_named(made_run, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for words in (["push", str(made_run), "ann/mine"], ["encode", "ann/mine", "x.npy"]):
        assert main(words) == 2
        assert "pip install '.[hub]'" in capsys.readouterr().err
