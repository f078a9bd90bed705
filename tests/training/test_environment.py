"""The commit that a run records is unbraid's own, or none."""

import subprocess

import pytest

from unbraid.training.environment import own_commit


def git(folder, *words):
    identity = ("-c", "user.name=n", "-c", "user.email=n@example.org")
    return subprocess.run(
        ["git", "-C", folder, *identity, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def repository(folder, package):
    """A repository that holds a package."""
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return git(folder, "rev-parse", "--short=12", "HEAD")


def test_the_commit_of_a_checkout(tmp_path):
    package = tmp_path / "src" / "unbraid"
    commit = repository(tmp_path, package)
    assert own_commit(package) == commit
    (package / "__init__.py").write_text("x = 1")
    assert own_commit(package) == f"{commit}+"


@pytest.mark.parametrize("place", [".venv/lib/site-packages/unbraid", "vendor/src/unbraid"])
def test_a_repository_of_the_user_s_is_not_unbraid_s(tmp_path, place):
    repository(tmp_path, tmp_path / place)
    assert own_commit(tmp_path / place) is None


def test_an_ignored_package_is_in_no_commit(tmp_path):
    repository(tmp_path, tmp_path / "other")
    package = tmp_path / "src" / "unbraid"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    assert own_commit(package) is None


def test_no_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    package = tmp_path / "src" / "unbraid"
    package.mkdir(parents=True)
    assert own_commit(package) is None


def test_variables_of_a_git_hook_do_not_mislead(tmp_path, monkeypatch):
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir(), other.mkdir()
    commit = repository(own, own / "src" / "unbraid")
    repository(other, other / "a")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert own_commit(own / "src" / "unbraid") == commit
