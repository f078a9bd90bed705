import numpy as np

from unbraid.data.splits import consecutive_splits, in_order_of_splits


def test_consecutive_splits():
    splits = consecutive_splits({"train": 3, "validation": 1, "test": 2})
    assert {name: rows.tolist() for name, rows in splits.items()} == {
        "train": [0, 1, 2],
        "validation": [3],
        "test": [4, 5],
    }


def test_rows_are_ordered_so_that_every_split_is_one_block():
    parts = {"train": np.array([0, 2, 5]), "validation": np.array([4]), "test": np.array([1, 3])}
    order, splits = in_order_of_splits(parts)
    assert order.tolist() == [0, 2, 5, 4, 1, 3]
    for name, rows in splits.items():
        assert order[rows].tolist() == parts[name].tolist()
        assert rows.tolist() == list(range(rows[0], rows[0] + len(rows)))
