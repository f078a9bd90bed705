"""Encode sequences with an exported model and ONNX Runtime alone: `unbraid export RUN` wrote the file."""

import sys

import numpy as np
import onnxruntime


def encode(path, x, mask=None):
    """The codes of x (B, T, *X), in the units of the training data; frames have values from 0 to 1."""
    session = onnxruntime.InferenceSession(path)
    if mask is None:  # of the rank that the model reads: steps of frames, single values otherwise
        mask = np.ones(x.shape[: len(session.get_inputs()[1].shape)], bool)
    return session.run(["static", "dynamic"], {"x": x.astype(np.float32), "mask": mask})


if __name__ == "__main__":
    static, dynamic = encode(sys.argv[1], np.load(sys.argv[2]))
    print("static codes", static.shape, "dynamic codes", dynamic.shape)
