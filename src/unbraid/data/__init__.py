"""Data sets: `sequences` and its checks, `sets` by name, `own` recordings, `formats` of files."""
