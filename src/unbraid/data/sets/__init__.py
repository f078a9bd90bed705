"""One file per data set; each has `card` and `load`."""
