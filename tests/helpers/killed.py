"""Work in a child process that is killed at its n-th operation on files.

A hook of Python's audit events sees every file that is opened for writing, and every rename, removal and new folder;
`os.fsync` is replaced. The child ends by `os._exit`, so nothing is flushed or cleaned up. A kill at a flush cuts the file in
half first, as a failing power supply would.
"""

import os
import sys
import traceback
from pathlib import Path

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.utime", "os.chmod"}
KILLED = 77


def _is_change(event, arguments):
    if event == "open":
        _, mode, flags = arguments
        if mode is not None:
            return any(letter in mode for letter in "wax+")
        return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return event in CHANGES


class Killer:
    """Counts the operations below a folder, and kills the process at one of them."""

    def __init__(self, folder, kill_at):
        self.folder, self.kill_at, self.count = str(folder), kill_at, 0

    def start(self):
        fsync = os.fsync

        def fsync_or_die(handle):
            self.operate(handle)
            fsync(handle)

        os.fsync = fsync_or_die
        sys.addaudithook(self.look)

    def look(self, event, arguments):
        if not _is_change(event, arguments):
            return
        paths = (os.fsdecode(a) for a in arguments[:2] if isinstance(a, str | bytes | os.PathLike))
        if any(path.startswith(self.folder) for path in paths):
            self.operate(None)

    def operate(self, handle):
        self.count += 1
        if self.count == self.kill_at:
            if handle is not None and (size := os.fstat(handle).st_size) and not _is_folder(handle):
                os.truncate(f"/proc/self/fd/{handle}", size // 2)
            os._exit(KILLED)


def _is_folder(handle):
    return os.path.isdir(f"/proc/self/fd/{handle}")


def in_child(work, folder, kill_at=None):
    """Do the work in a forked child, killed at operation `kill_at` on files below `folder`.

    Returns:
        How many operations the work took; None when it was killed.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            killer = Killer(folder, kill_at)
            killer.start()
            work()
            os.write(writer, str(killer.count).encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader) as file:
        count = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == KILLED:
        return None
    if code:
        raise AssertionError(f"killed at {kill_at}: the child failed with {code}; its output says why")
    return int(count)


def points(count, several):
    """`several` of the operations 1 to `count`, spread evenly, the first and the last among them."""
    return sorted({1 + round(i * (count - 1) / (several - 1)) for i in range(several)})


def leftovers(folder):
    """Hidden files of killed writes."""
    return [path for path in Path(folder).rglob(".*") if ".partial" in path.name]
