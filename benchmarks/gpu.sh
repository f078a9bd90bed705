#!/usr/bin/env bash
# Everything that wants a GPU, in under 8 minutes on an H100: the tests marked gpu, then `unbraid speed` for every method,
# as it is and compiled, into benchmarks/speed-DATE-PROCESSOR.csv.
#
#   benchmarks/gpu.sh                      on the GPU
#   benchmarks/gpu.sh --device cpu         the same on the CPU, with small batches: tries the script
#   benchmarks/gpu.sh --methods dbse,vae   some methods only
#   benchmarks/gpu.sh --no-tests           speed only
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
device=cuda batch=128 limit=90 tests=yes methods= compile=--compile
while [ $# -gt 0 ]; do
    case $1 in
        --device) device=$2; shift 2 ;;
        --methods) methods=$2; shift 2 ;;
        --no-tests) tests=no; shift ;;
        *) echo "gpu.sh: no option $1; there is --device, --methods and --no-tests" >&2; exit 2 ;;
    esac
done
if [ "$device" = cpu ]; then batch=4 limit=600 compile=; fi
if [ "$tests" = yes ]; then
    "$python" -m pytest -q -m gpu --device "$device" tests/training/test_gpu.py tests/data/formats/test_spectra.py
fi
PYTHONPATH=src${PYTHONPATH:+:$PYTHONPATH} "$python" -m unbraid speed --all $compile --device "$device" --batch "$batch" ${methods:+--methods "$methods"} --limit "$limit" --csv benchmarks
