import os

from unbraid.data.formats.paths import files_below, files_digest, name_of


def write(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_files_below_in_natural_order_without_hidden_ones(tmp_path):
    write(tmp_path, "b10.WAV", "b2.wav", "a/c.wav", ".hidden/d.wav", "a/.e.wav", "notes.txt")
    (tmp_path / "folder.wav").mkdir()
    names = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path, (".wav",))]
    assert names == ["a/c.wav", "b2.wav", "b10.WAV"]
    assert [path.name for path in files_below(tmp_path)] == ["c.wav", "b2.wav", "b10.WAV", "notes.txt"]


def test_the_digest_changes_with_the_whole_path_names_sizes_times_and_content(tmp_path):
    write(tmp_path / "one", "a.txt", "b.txt")
    for name in ("a.txt", "b.txt"):
        os.utime(tmp_path / "one" / name, ns=(1, 10**9))
    folder = tmp_path / "one"
    before = files_digest(files_below(folder), folder)
    moved = folder.rename(tmp_path / "two")
    elsewhere = files_digest(files_below(moved), moved)
    (moved / "a.txt").write_text("A.txt")
    os.utime(moved / "a.txt", ns=(1, 10**9))
    rewritten = files_digest(files_below(moved), moved)  # of the same size and time
    os.utime(moved / "a.txt", ns=(1, 2 * 10**9))
    touched = files_digest(files_below(moved), moved)
    (moved / "b.txt").rename(moved / "c.txt")
    renamed = files_digest(files_below(moved), moved)
    with open(moved / "a.txt", "a") as file:
        file.write("more")
    os.utime(moved / "a.txt", ns=(1, 2 * 10**9))
    grown = files_digest(files_below(moved), moved)
    assert len({before, elsewhere, rewritten, touched, renamed, grown}) == 6


def test_names_of_data_sets(tmp_path):
    write(tmp_path, "my walks/a.txt", "v1.2/b.txt", "run.1.csv")
    assert [name_of(tmp_path / name) for name in ("my walks", "v1.2", "run.1.csv")] == [
        "my_walks",
        "v1.2",
        "run.1",
    ]
    assert name_of(tmp_path / "v1.2" / "..") == tmp_path.name
