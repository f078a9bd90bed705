"""Trained models as ONNX or torch.export files, which other programs run without unbraid.

    encode   x (B, T, *X), mask (B, T, *X), or (B, T) for frames   ->  static (B, S), dynamic (B, T, D)
    decode   static (B, S), dynamic (B, T, D), steps (B, T)        ->  x (B, T, *X)

B and T are free. x is in the units of the training data: scaling of features is part of both graphs.
"""

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unbraid import __version__
from unbraid.data.scaling import Scaling
from unbraid.files import replacing, write_atomically
from unbraid.io import load_features, load_scaling, weights_sha256
from unbraid.kinds import kind_of
from unbraid.masks import inside, widen, zero_unobserved
from unbraid.models.base import SequenceModel
from unbraid.nn.traced import as_operators, as_scans, onnx_translations
from unbraid.training import Run
from unbraid.types import Codes

__all__ = ["Decode", "Encode", "check_exported", "export", "exported_files"]

Format = Literal["onnx", "torch"]
ENDINGS: Mapping[Format, str] = {"onnx": ".onnx", "torch": ".pt2"}
TOLERANCE = 1e-4
NAMES = {"encode": (("x", "mask"), ("static", "dynamic")), "decode": (("static", "dynamic", "steps"), ("x",))}
"""Inputs and outputs of each graph."""


class _Scaled(nn.Module):
    """A model, and the scaling of the features that it reads."""

    def __init__(self, model: SequenceModel, scaling: Scaling | None) -> None:
        super().__init__()
        self.model = model
        self.scaled = scaling is not None
        if scaling is not None:
            self.register_buffer("mean", torch.from_numpy(scaling.mean))
            self.register_buffer("std", torch.from_numpy(scaling.std))

    mean: Tensor
    std: Tensor


class Encode(_Scaled):
    """Raw observations to codes. Values that are not observed are not read; d is zero outside the sequences."""

    def forward(
        self, x: Float[Tensor, "B T *X"], mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "B S"], Float[Tensor, "B T D"]]:
        """The posterior means."""
        x = zero_unobserved(x, mask)
        if self.scaled:
            x = zero_unobserved(((x.double() - self.mean) / self.std).float(), mask)
        codes = self.model.encode(x, mask)
        return codes.static, zero_unobserved(codes.dynamic, inside(mask))


class Decode(_Scaled):
    """Codes to raw observations, zero outside the sequences."""

    def forward(
        self,
        static: Float[Tensor, "B S"],
        dynamic: Float[Tensor, "B T D"],
        steps: Bool[Tensor, "B T"],
    ) -> Float[Tensor, "B T *X"]:
        """The mean of p(x | s, d)."""
        x = self.model.decode(Codes(static, dynamic), steps).mean
        if self.scaled:
            x = (x.double() * self.std + self.mean).float()
        return torch.where(widen(steps, x), x, 0.0)


def exported_files(folder: str | Path, format: Format) -> dict[str, Path]:
    """The file of each graph, and of their description, that `export` writes."""
    folder = Path(folder)
    files = {name: folder / f"{name}{ENDINGS[format]}" for name in NAMES}
    return files | {"description": folder / "export.json"}


def export(run: Run, folder: str | Path, format: Format = "onnx") -> list[Path]:
    """Write encoder and decoder of a trained model as files that run without unbraid.

    Both graphs are compared with the model, at other numbers of sequences and steps than they were traced with, before a file
    is written. `export.json` says what the inputs and outputs are.

    Args:
        run: with the trained model, on the CPU.
        folder: of the files, which are replaced.
        format: "onnx", or "torch" for files of torch.export.

    Returns:
        The files.

    Raises:
        ValueError: the method cannot be exported, or a graph differs from the model.
        ModuleNotFoundError: onnx, onnxscript or onnxruntime is not installed.
        ImportError: torch is too old.
    """
    run.model.require("export", "encode", "decode")
    _check_libraries(format)
    scaling = load_scaling(run.folder)
    files = exported_files(folder, format)
    graphs: dict[str, nn.Module] = {
        "encode": Encode(run.model, scaling).eval(),
        "decode": Decode(run.model, scaling).eval(),
    }
    with contextlib.ExitStack() as both:  # none is put in place before all are checked
        for name, graph in graphs.items():
            temporary = both.enter_context(replacing(files[name]))
            _write(name, graph, temporary, format, _example(run.model, name, 2, 3))
            check_exported(temporary, name, graph, _example(run.model, name, 5, 4))
    write_atomically(files["description"], json.dumps(_describe(run, format), indent=2) + "\n")
    return list(files.values())


def _check_libraries(format: Format) -> None:
    try:
        from torch._higher_order_ops.scan import scan  # noqa: F401
    except ImportError:
        raise ImportError(f"export: needs torch 2.9 or newer, not {torch.__version__}") from None
    if format == "onnx":
        try:
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "export: needs onnxscript and onnxruntime: pip install '.[export]' in the folder of unbraid's source"
            ) from None


def _example(model: SequenceModel, name: str, sequences: int, steps: int) -> tuple[Tensor, ...]:
    """Inputs of a graph, drawn at random; the sequences have different lengths, values are missing where they may be."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.arange(sequences) % steps + 1
    inside_steps = torch.arange(steps) < lengths.unsqueeze(1)
    if name == "decode":
        static = torch.randn(sequences, model.static_size, generator=generator)
        return static, torch.randn(sequences, steps, model.dynamic_size, generator=generator), inside_steps
    x = torch.rand(sequences, steps, *model.observation, generator=generator)
    if kind_of(model.observation) == "frames":
        return x, inside_steps
    return x, widen(inside_steps, x) & (torch.rand(x.shape, generator=generator) > 0.2)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about itself and about libraries that are not used."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", message="The tensor attributes .* were assigned during export")
            yield
    finally:
        logger.setLevel(level)


def _write(name: str, graph: nn.Module, path: Path, format: Format, example: tuple[Tensor, ...]) -> None:
    """Trace a graph with free numbers of sequences and steps and write it to a file."""
    inputs, outputs = NAMES[name]
    sequences, steps = torch.export.Dim("B", min=1), torch.export.Dim("T", min=1)
    sizes = {each: {0: sequences} if each == "static" else {0: sequences, 1: steps} for each in inputs}
    with _quiet(), torch.no_grad(), as_scans() if format == "torch" else as_operators():
        program = torch.export.export(graph, example, dynamic_shapes=sizes, strict=False)
    if format == "torch":
        torch.export.save(program, path)
        return
    with torch.no_grad(), _quiet():
        written = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            input_names=list(inputs),
            output_names=list(outputs),
            custom_translation_table=onnx_translations(),
        )
    assert written is not None  # it is None for the older exporter
    written.save(path, external_data=False)


def check_exported(path: Path, name: str, graph: nn.Module, inputs: tuple[Tensor, ...]) -> float:
    """The largest difference between an exported graph's outputs and the model's.

    Args:
        path: of the file.
        name: encode or decode.
        graph: the model's `Encode` or `Decode`.
        inputs: of the graph.

    Raises:
        ValueError: the difference is above 1e-4, absolute and relative to the values.
    """
    with torch.no_grad():
        expected = graph(*inputs)
        expected = expected if isinstance(expected, tuple) else (expected,)
        outputs = _run(path, dict(zip(NAMES[name][0], inputs, strict=True)))
    for output, values in zip(outputs, expected, strict=True):
        if not np.allclose(output, values.numpy(), rtol=TOLERANCE, atol=TOLERANCE):
            raise ValueError(
                f"export: {name} differs from the model by {np.abs(output - values.numpy()).max():.3g}"
            )
    return max(
        float(np.abs(output - values.numpy()).max()) for output, values in zip(outputs, expected, strict=True)
    )


def _run(path: Path, inputs: Mapping[str, Tensor]) -> list[np.ndarray]:
    """The outputs of a file."""
    if path.suffix == ENDINGS["torch"]:
        try:
            outputs = torch.export.load(path).module()(*inputs.values())
        except AssertionError as error:  # a guard of the file
            raise ValueError(
                f"export: the file takes no other numbers of sequences and steps: {error}"
            ) from error
        return [value.numpy() for value in (outputs if isinstance(outputs, tuple) else (outputs,))]
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    read = {each.name for each in session.get_inputs()}
    return session.run(None, {name: value.numpy() for name, value in inputs.items() if name in read})


def _describe(run: Run, format: Format) -> dict[str, Any]:
    """What the files are: shapes with B sequences and T steps, units, and which model they hold."""
    model, shape = run.model, ["B", "T", *run.model.observation]
    frames = kind_of(model.observation) == "frames"
    shapes = {
        "x": shape,
        "mask": shape[:2] if frames else shape,
        "steps": ["B", "T"],
        "static": ["B", model.static_size],
        "dynamic": ["B", "T", model.dynamic_size],
    }
    described: dict[str, Any] = {
        "model": model.card.name,
        "format": format,
        "unbraid": __version__,
        "weights_sha256": weights_sha256(run.folder),
        "x": "frames with values from 0 to 1" if frames else "values in the units of the training data",
        "mask": "true = observed; other values are not read",
    }
    with contextlib.suppress(FileNotFoundError):
        features = load_features(run.folder)
        described |= {
            "features": features.names,
            "units": features.units,
            "sampling_rate": features.sampling_rate,
        }
    graphs = {
        name: {
            "inputs": {each: shapes[each] for each in read},
            "outputs": {each: shapes[each] for each in given},
        }
        for name, (read, given) in NAMES.items()
    }
    return described | graphs
