import os
import signal
import threading

import pytest
import torch
from jaxtyping import install_import_hook

# Every shape annotated in the models and their parts is checked while the tests run.
CHECKED = [
    "types",
    "nn",
    "masks",
    "objectives.information",
    "objectives.contrast",
    "models",
    "augment",
    "generation",
]
install_import_hook([f"unbraid.{name}" for name in CHECKED], "beartype.beartype")

os.environ["HF_HUB_OFFLINE"] = "1"  # no test asks the Hugging Face Hub
torch.set_num_threads(1)  # the tests run in several processes

# A suite that was started in the background ignores Ctrl-C, and so would the trainings that tests interrupt.
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", choices=("cuda", "cpu"), default="cuda", help="where tests marked gpu run")


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> str:
    """Where the tests marked gpu run: on CUDA, or for a try on the CPU."""
    return pytestconfig.getoption("--device")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    no_data = pytest.mark.skip(reason="needs the real data sets in the folder named by UNBRAID_DATA")
    no_gpu = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if "real_data" in item.keywords and not os.environ.get("UNBRAID_DATA"):
            item.add_marker(no_data)
        tried = config.getoption("--device") == "cpu"
        if "gpu" in item.keywords and not torch.cuda.is_available() and not tried:
            item.add_marker(no_gpu)
