"""Exported encoders and decoders give what the model gives, at other numbers of sequences and steps, masked values included."""

import json
import runpy
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

from unbraid.cli import main
from unbraid.data.features import Features
from unbraid.data.scaling import Scaling
from unbraid.exporting import Decode, Encode, check_exported, export
from unbraid.generation import evaluating
from unbraid.io import save_features, save_model
from unbraid.masks import inside
from unbraid.models.build import build_model
from unbraid.registry import list_models, model_class
from unbraid.training import Run

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra export")
pytest.importorskip("onnxscript", reason="needs the extra export")


@pytest.fixture(autouse=True)
def without_shape_checks(monkeypatch):
    """The checker of annotations would fix the free sizes of a traced graph."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


KINDS = {"frames": (1, 16, 16), "vectors": (3,), "windows": (2, 3)}
SMALL = {"features": 6, "width": 4, "hidden": 5, "static_size": 3, "dynamic_size": 4}
SETTINGS = {
    "dbse": SMALL | {"bidirectional": True, "anchor": "middle"},
    "c_dsvae": SMALL,
    "dsvae": SMALL,  # with the full posterior, a recurrent net behind a bidirectional one
    "vae": {name: size for name, size in SMALL.items() if name != "static_size"},
}
SCALING = Scaling(np.array([1000.0, -3.0, 0.5]), np.array([20.0, 0.1, 1.0]))


def run_of(model, kind, folder):
    """A run with random weights; the statistics of batch norm are random as well."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if value.is_floating_point():
                value.copy_(
                    torch.rand(value.shape, generator=generator) * 0.5 + (0.5 if "var" in name else -0.2)
                )
    save_model(model.eval(), folder / "model")
    if kind != "frames":
        save_features(Features(("a", "b", "c"), None, SCALING, None), folder / "model")
    return Run(folder, model, {})


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SETTINGS)
def test_onnx_equals_torch(name, kind, tmp_path):
    torch.manual_seed(0)
    model = build_model(name, KINDS[kind], **SETTINGS[name])
    export(run_of(model, kind, tmp_path / "run"), tmp_path)
    encode, decode = session(tmp_path / "encode.onnx"), session(tmp_path / "decode.onnx")
    random = np.random.default_rng(0)
    for sequences, steps in ((7, 6), (1, 1)):
        mask = np.arange(steps) < random.integers(1, steps + 1, (sequences, 1))
        mask[0] = True
        x = random.normal(size=(sequences, steps, *KINDS[kind])).astype(np.float32)
        raw, scaled = x, torch.from_numpy(x)
        if kind != "frames":
            mask = mask.reshape(*mask.shape, *[1] * (x.ndim - 2)) & (random.random(x.shape) > 0.3)
            raw = np.where(mask, SCALING.invert(x), np.float32(np.nan))
        steps_inside = inside(torch.from_numpy(mask))
        with evaluating(model):
            codes = model.encode(scaled, torch.from_numpy(mask))
            decoded = model.decode(codes, steps_inside).mean.numpy()
        static, dynamic = encode.run(["static", "dynamic"], {"x": raw, "mask": mask})
        assert np.allclose(static, codes.static, atol=1e-4)
        kept = steps_inside.numpy()
        assert np.allclose(dynamic[kept], codes.dynamic.numpy()[kept], atol=1e-4) and not dynamic[~kept].any()
        inputs = {"static": static, "dynamic": dynamic, "steps": kept}
        read = {each.name for each in decode.get_inputs()}
        (again,) = decode.run(["x"], {key: value for key, value in inputs.items() if key in read})
        assert not again[~kept].any()
        if kind != "frames":
            again = (again - SCALING.mean) / SCALING.std
        assert np.allclose(again[kept], decoded[kept], atol=1e-4)


def test_every_method_whose_card_says_so_can_be_exported(tmp_path):
    """The methods that are not compared above, as torch.export files and with vectors alone."""
    names = {name for name in list_models() if "export" in model_class(name).card.capabilities}
    assert set(SETTINGS) <= names
    for name in sorted(names - set(SETTINGS)):
        model = build_model(
            name, (3,), **{key: SMALL[key] for key in SMALL if key in model_class(name).setting_names()}
        )
        files = export(run_of(model, "vectors", tmp_path / name), tmp_path / name)
        assert [path.name for path in files] == ["encode.onnx", "decode.onnx", "export.json"]


@pytest.mark.parametrize("name", ["dbse", "vae"])
def test_torch_files_of_frames_take_any_number_of_clips_and_steps(name, tmp_path):
    model = build_model(name, (1, 16, 16), **SETTINGS[name])
    encode, decode, _ = export(run_of(model, "frames", tmp_path / "run"), tmp_path, "torch")
    x, mask = torch.rand(4, 7, 1, 16, 16, generator=torch.Generator().manual_seed(2)), torch.ones(4, 7) > 0
    graphs = [graph(model, None).eval() for graph in (Encode, Decode)]
    with torch.no_grad():
        codes = graphs[0](x, mask)
    assert check_exported(encode, "encode", graphs[0], (x, mask)) < 1e-4
    assert check_exported(decode, "decode", graphs[1], (*codes, mask)) < 1e-4


def test_torch_files_equal_the_model(tmp_path):
    model = build_model("dbse", (3,), **SETTINGS["dbse"])
    run = run_of(model, "vectors", tmp_path / "run")
    encode, decode, description = export(run, tmp_path, "torch")
    generator = torch.Generator().manual_seed(2)
    x, mask = torch.rand(4, 7, 3, generator=generator), torch.rand(4, 7, 3, generator=generator) > 0.3
    graphs = [graph(model, SCALING).eval() for graph in (Encode, Decode)]
    with torch.no_grad():
        codes = graphs[0](x, mask)
    assert check_exported(encode, "encode", graphs[0], (x, mask)) < 1e-4
    assert (
        check_exported(decode, "decode", graphs[1], (*codes, inside(mask))) < 1e-4
    )  # in units of 20 and 0.1
    described = json.loads(description.read_text())
    assert described["encode"]["inputs"] == {"x": ["B", "T", 3], "mask": ["B", "T", 3]}
    assert described["decode"]["outputs"] == {"x": ["B", "T", 3]}
    assert described["features"] == ["a", "b", "c"]


def test_a_graph_that_differs_from_the_model_is_refused(tmp_path):
    model = build_model("vae", (3,), **SETTINGS["vae"])
    encode = export(run_of(model, "vectors", tmp_path / "run"), tmp_path)[0]
    other = Encode(build_model("vae", (3,), **SETTINGS["vae"]), SCALING).eval()
    x = torch.full((2, 3, 3), 900.0)
    with pytest.raises(ValueError, match="encode differs from the model by"):
        check_exported(encode, "encode", other, (x, torch.ones(2, 3, 3, dtype=torch.bool)))


def test_no_file_is_written_where_one_graph_is_refused(tmp_path, monkeypatch):
    def refuse(path, name, graph, inputs):
        if name == "decode":
            raise ValueError("export: decode differs")

    monkeypatch.setattr("unbraid.exporting.check_exported", refuse)
    model = build_model("vae", (3,), **SETTINGS["vae"])
    with pytest.raises(ValueError, match="decode differs"):
        export(run_of(model, "vectors", tmp_path / "run"), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_methods_that_cannot_be_exported_say_so(tmp_path):
    model = build_model("ssm_skd", (3,))
    with pytest.raises(ValueError, match=r"ssm_skd cannot be exported.*capability 'export'"):
        export(Run(tmp_path, model, {}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_and_the_example(tmp_path, capsys, monkeypatch):
    """The packaged model, exported by the command, encodes without unbraid."""
    words = ["export", "puppets/dbse", "--output", str(tmp_path)]
    assert main(words) == 0 and main(words) == 2
    assert "exists; give another name, or --force" in capsys.readouterr().err
    example = Path(__file__).parent.parent / "examples" / "encode_onnx.py"
    text = example.read_text()
    assert len(text.splitlines()) <= 20 and "import unbraid" not in text and "import torch" not in text
    x = np.random.default_rng(0).random((2, 8, 3, 32, 32), dtype=np.float32)
    static, dynamic = runpy.run_path(str(example))["encode"](tmp_path / "encode.onnx", x)
    assert static.shape == (2, 32) and dynamic.shape == (2, 8, 32)
