"""`unbraid speed`: measure training, encoding and generation beside what the machine can do."""

from collections.abc import Mapping, Sequence
from typing import Literal

from unbraid.cli.parser import call, read_words, take_settings

__all__ = ["main", "speed"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    settings, rest = take_settings(arguments)
    return call(speed, "speed", rest, {"settings": settings})


def speed(
    settings: Mapping[str, str],
    model: str = "dbse",
    data: str = "sprites",
    batch: int = 128,
    steps: int = 5,
    precision: Literal["auto", "bfloat16", "float32"] = "auto",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    compile: bool = False,
    json: bool = False,
    all: bool = False,
    methods: Sequence[str] = (),
    csv: str | None = None,
    limit: float = 600,
) -> int:
    """Measure training, encoding and generation on made-up data, beside a large matrix product in the same process.

    `--model.width 64` and the like change settings of the model. Medians are measured until two of them agree to 5%; the
    output says where they do not, because other work disturbs the measurement.

    Args:
        settings: of the model that differ from the recipe's, as text.
        model: name of the model; its settings are those of the recipe for the data.
        data: name of the data set whose shape is used; nothing is read from disk.
        batch: sequences per step.
        steps: how many steps are timed for a median.
        precision: of the computation; auto is bfloat16 where the processor computes in it, else float32.
        device: that computes; auto is cuda where there is one.
        compile: whether `torch.compile` compiles the parts of the model first, which takes minutes.
        json: print one JSON object instead of a table.
        all: measure every method on frames, vectors and windows, each in a process of its own, into a CSV file; with
            `--compile` as it is and compiled.
        methods: with `--all`, some methods only.
        csv: with `--all`, the new file, or a folder, where the file gets a name of the date and the processor; by default
            the current folder.
        limit: with `--all`, seconds of one measurement.
    """
    if all:
        if settings or json or precision != "auto":
            raise ValueError(
                "all: takes no settings of a model, no --json and no --precision; leave them out"
            )
        return _measure_all(methods, batch, steps, device, compile, csv or ".", limit)
    from unbraid.benchmark.speed import as_json, measure
    from unbraid.parameters import parameters
    from unbraid.registry import model_class
    from unbraid.training import TrainingConfig

    constructor = parameters(model_class(model)).items()
    options = {f"model.{name}": option for name, option in constructor if name != "observation"}
    changes = read_words("speed", [f"--{name}={text}" for name, text in settings.items()], options)
    config = TrainingConfig(batch_size=max(batch, 2), precision=precision, device=device, compile=compile)
    figures = measure(
        model, data, batch, steps, {name.partition(".")[2]: value for name, value in changes.items()}, config
    )
    if json:
        print(as_json(figures))
        return 0
    from rich.console import Console
    from rich.table import Table

    machine = figures["machine"]
    table = Table(title=f"{model} on {data}, batch {batch}")
    parts = [part for part in ("train", "encode", "generate") if part in figures]
    for heading in ("", *parts):
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
        table.add_row(name, *(_shown(figures[part][key]) for part in parts))
    console = Console()
    console.print(table)
    console.print(
        f"{machine['processor']}, {machine['threads']} threads; matrix product: "
        f"{machine['gemm_fp32_gflops']:,} GFLOP/s in float32, {machine['gemm_bf16_gflops']:,} in bfloat16"
        + ("" if machine["bf16_in_hardware"] else " (emulated)")
        + f"; memory: {machine['peak_memory_by']}"
    )
    if disturbed := [part for part in parts if not figures[part]["steady"]]:
        console.print(
            f"No two medians of {', '.join(disturbed)} agree to 5%: other work disturbs the measurement; the smallest is shown."
        )
    if any(figures[part]["fraction_of_gemm"] > 1 for part in parts):
        console.print("A share above 1: other work kept the machine from its matrix product; measure again.")
    return 0


def _measure_all(
    methods: Sequence[str], batch: int, steps: int, device: str, compile: bool, csv: str, limit: float
) -> int:
    """Measure every method and write the table."""
    from unbraid.benchmark.speed_table import measure_all, new_table, write_rows

    path = new_table(csv)
    for row in write_rows(path, measure_all(methods, batch, steps, device, compile, limit)):
        what = [row["method"], row["kind"], row.get("part", ""), "compiled" if row["compiled"] else ""]
        result = row.get("remark") or f"{row['sequences_per_second']:,} sequences a second"
        steady = "" if row.get("steady", True) else " (disturbed)"
        print(*filter(None, what), result + steady, flush=True)
    print(f"wrote {path}")
    return 0


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"
