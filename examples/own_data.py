"""From your own array to codes: `python examples/own_data.py [FILE.npy] [RUN]`; without a file, from made-up clips.

The array holds frames (N, T, C, H, W) or vectors (N, T, F).
"""

import sys

import numpy as np

import unbraid as ub


def moving_squares(n: int = 60, steps: int = 8, size: int = 16) -> np.ndarray:
    """Clips of a moving square: its colour is static, its place is dynamic."""
    random = np.random.default_rng(0)
    x = np.zeros((n, steps, 3, size, size), np.uint8)
    for clip in x:
        colour, start = random.integers(60, 256, (3, 1, 1)), random.integers(0, 12, 2)
        step = random.integers(-1, 2, 2)
        for t, frame in enumerate(clip):
            top, left = (start + t * step) % (size - 4)
            frame[:, top : top + 4, left : left + 4] = colour
    return x


def main(file: str | None = None, folder: str = "runs/own-example", epochs: int = 5) -> None:
    """Train on the array, then print the shapes of its codes and of a swap."""
    data = ub.Sequences.from_arrays(moving_squares() if file is None else np.load(file), name="own")
    settings = {"static_size": 16, "dynamic_size": 16, "width": 8}
    training = ub.TrainingConfig(max_epochs=epochs, batch_size=16)
    run = ub.fit(data, model="dbse", folder=folder, settings=settings, training=training)
    codes = ub.encode(run.model, data)
    print("static codes", tuple(codes.static.shape), "dynamic codes", tuple(codes.dynamic.shape))
    a, b = data.batch(np.array([0])).x, data.batch(np.array([1])).x
    print("static code of the first clip, dynamic code of the second:", tuple(run.model.swap(a, b).shape))


if __name__ == "__main__":
    main(*sys.argv[1:])
