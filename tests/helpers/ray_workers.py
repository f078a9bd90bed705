"""Ray's workers among the processes that this one has started."""

import os
from pathlib import Path


def workers_of_ray(pid=None):
    """Numbers of the processes below a process (this one) that are actors of Ray Data."""
    parents, words = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            words[int(place.name)] = (place / "cmdline").read_text()
        except OSError:  # it has ended
            continue
    below = {pid or os.getpid()}
    while more := {number for number, parent in parents.items() if parent in below} - below:
        below |= more
    return sorted(number for number in below if "MapWorker" in words.get(number, ""))
