"""Readers and transforms of files; they know no data set."""
