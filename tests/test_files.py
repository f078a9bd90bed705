import ast
import json
import os
import random
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import unbraid
from unbraid.files import (
    LOCK,
    FileInUseError,
    digest,
    locked,
    parts_digest,
    read_json,
    remove_leftovers,
    replacing,
    temporary_beside,
    with_checksum,
    write_atomically,
)

needs_locks = pytest.mark.skipif(os.name == "nt", reason="needs POSIX file locks")


def test_files_are_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder" / "a.txt"
    write_atomically(path, "größer")
    assert path.read_bytes() == "größer".encode()
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_bytes() == "größer".encode()
    assert os.listdir(path.parent) == ["a.txt"]


@needs_locks
def test_a_full_disk_keeps_the_older_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("older")
    with pytest.raises(OSError, match="No space left"), replacing(path) as temporary:
        temporary.write_bytes(b"part")
        with open("/dev/full", "wb") as full:
            full.write(b"more")
    assert path.read_text() == "older" and os.listdir(tmp_path) == ["a.txt"]


@needs_locks
def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@needs_locks
def test_leftovers_are_removed_unless_they_are_in_use(tmp_path):
    left, used = temporary_beside(tmp_path / "a.npz"), temporary_beside(tmp_path / "a.npz")
    other, folder = temporary_beside(tmp_path / "b.npz"), temporary_beside(tmp_path / "a")
    left.write_text("")
    other.write_text("")
    folder.mkdir()
    (folder / "x").write_text("")
    (tmp_path / "a.partial.npz").write_text("the user's own")
    with locked(used), locked_folder(tmp_path):
        write_atomically(tmp_path / "a.npz", "whole")
        assert used.exists() and other.exists() and not left.exists() and not folder.exists()
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [LOCK, "a.npz", "a.partial.npz"]


def locked_folder(folder):
    return locked(folder / LOCK)


@needs_locks
def test_a_lock_is_for_one_process_and_freed_by_a_kill(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from unbraid.files import locked\n"
        "with locked(Path(sys.argv[1])) as held: print(held, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "lock"], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "True\n"
        with pytest.raises(FileInUseError, match="is in use by another process"), locked(tmp_path / "lock"):
            pass
        child.kill()
    with locked(tmp_path / "lock") as held:
        assert held


def test_any_damaged_byte_of_json_is_refused(tmp_path):
    path = tmp_path / "a.json"
    content = {"model": "dbse", "settings": {"width": 64, "rate": 0.1, "names": ["ä", None, True]}}
    text = json.dumps(with_checksum(content), indent=2).encode()
    path.write_bytes(text)
    assert read_json(path) == content
    draw, accepted = random.Random(0), 0
    for place in range(len(text)):
        damaged = bytearray(text)
        damaged[place] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            accepted += read_json(path) == content
        except ValueError as error:
            assert str(path) in str(error) and "damaged" in str(error)
        else:  # the same values with another blank, or with the word "checksum" lost
            assert {"settings": content["settings"], "model": "dbse"}.items() <= read_json(path).items()
    assert accepted < len(text) / 2
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="is damaged"):
        read_json(path)


def test_parts_of_a_file_tell_changes_at_its_start_and_end(tmp_path):
    path = tmp_path / "a"
    content = bytearray(random.Random(0).randbytes(10_000))
    path.write_bytes(content)
    before = parts_digest(path, 3, 100)
    assert before != digest(path)
    for place in (0, 99, 4950, 5049, 9900, 9999):
        changed = content.copy()
        changed[place] ^= 1
        path.write_bytes(changed)
        assert parts_digest(path, 3, 100) != before, place
    path.write_bytes(content[:300])
    assert parts_digest(path, 3, 100) == digest(path)


def opened_as_text(path):
    """Calls that read or write text in the encoding of the locale."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        named = {keyword.arg for keyword in node.keywords}
        modes = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if "encoding" in named or name not in ("open", "read_text", "write_text", "fdopen"):
            continue
        module = getattr(getattr(node.func, "value", None), "id", "")
        binary = any("b" in mode and len(mode) <= 3 for mode in modes)
        if not binary and module not in ("Image", "tarfile", "zipfile", "av", "os", "outer"):
            yield f"{path.name}:{node.lineno}"


def test_text_is_utf_8_whatever_the_locale():
    source = Path(unbraid.__file__).parent
    assert [line for path in sorted(source.rglob("*.py")) for line in opened_as_text(path)] == []
