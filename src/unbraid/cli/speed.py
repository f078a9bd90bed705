"""`unbraid speed`: measure training and encoding beside what the machine can do."""

from unbraid.cli.common import call

__all__ = ["main", "speed"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(speed, "speed", arguments)


def speed(
    model: str = "dbse",
    data: str = "sprites",
    batch: int = 128,
    steps: int = 5,
    width: int | None = None,
    samples: int | None = None,
    precision: str = "auto",
    device: str = "auto",
    json: bool = False,
) -> int:
    """Measure training steps and encoding on made-up data, beside a large matrix product in the same process.

    Args:
        model: name of the model; its settings are those of the recipe for the data.
        data: name of the data set whose shape is used; nothing is read from disk.
        batch: sequences per step.
        steps: how many steps are timed; the median counts.
        width: the model's setting of that name, when it is to be another than the recipe's.
        samples: likewise, draws of the codes in a training step.
        precision: "bfloat16", "float32", or "auto": bfloat16 where the processor computes in it.
        device: "cpu", "cuda" or "auto".
        json: print one JSON object instead of a table.
    """
    from unbraid.benchmark.speed import as_json, measure
    from unbraid.training import TrainingConfig
    from unbraid.words import nearest

    for name, value, choices in (
        ("precision", precision, ("auto", "bfloat16", "float32")),
        ("device", device, ("auto", "cpu", "cuda")),
    ):
        if value not in choices:
            raise ValueError(f"{name}: {value!r} is no choice{nearest(value, choices)}")
    config = TrainingConfig(batch_size=max(batch, 2), precision=precision, device=device)  # type: ignore[arg-type]
    changed = {name: value for name, value in (("width", width), ("samples", samples)) if value is not None}
    figures = measure(model, data, batch, steps, changed, config)
    if json:
        print(as_json(figures))
        return 0
    from rich.console import Console
    from rich.table import Table

    machine = figures["machine"]
    table = Table(title=f"{model} on {data}, batch {batch}")
    for heading in ("", "train", "encode"):
        table.add_column(heading, justify="left" if not heading else "right")
    names = {
        "precision": "precision",
        "step_seconds": "seconds a step",
        "sequences_per_second": "sequences a second",
        "steps_per_second": "steps a second",
        "gflop_per_step": "GFLOP a step",
        "gflops": "GFLOP a second",
        "fraction_of_gemm": "share of the matrix product's rate",
        "peak_memory_mb": "peak memory, MB",
    }
    for key, name in names.items():
        table.add_row(name, *(_shown(figures[part][key]) for part in ("train", "encode")))
    console = Console()
    console.print(table)
    console.print(
        f"{machine['processor']}, {machine['threads']} threads; matrix product: "
        f"{machine['gemm_fp32_gflops']:,} GFLOP/s in float32, {machine['gemm_bf16_gflops']:,} in bfloat16"
        + ("" if machine["bf16_in_hardware"] else " (emulated)")
        + f"; memory: {machine['peak_memory_by']}"
    )
    if any(figures[part]["fraction_of_gemm"] > 1 for part in ("train", "encode")):
        console.print("A share above 1: other work kept the machine from its matrix product; measure again.")
    return 0


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"
