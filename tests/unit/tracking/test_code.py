from __future__ import annotations

import re
import subprocess
from importlib import metadata

import pytest

from lab.tracking.code import CodeVersion, code_version


@pytest.fixture
def repository(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=tester", "-c", "user.email=tester@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "code.py").write_text("x = 1\n")
    (tmp_path / "other.txt").write_text("1\n")
    git("add", ".")
    git("commit", "-q", "-m", "start")
    return tmp_path


def test_a_checkout_is_named_by_its_commit(repository):
    found = code_version(repository / "package")
    assert len(found.commit) == 40
    assert not found.dirty
    assert str(found) == f"{metadata.version('mnemo-quant')}+{found.commit}"


def test_changed_tracked_files_anywhere_in_it_are_dirt_and_new_notes_are_not(repository):
    (repository / "package" / "notes.txt").write_text("new\n")
    assert not code_version(repository / "package").dirty
    (repository / "other.txt").write_text("2\n")
    found = code_version(repository / "package")
    assert found.dirty
    release, commit = re.fullmatch(r"(.+)\+([0-9a-f]{40})\.dirty\.[0-9a-f]{8}", str(found)).groups()
    assert (release, commit) == (found.release, found.commit)


def test_other_changes_are_another_version(repository):
    names = set()
    for text in ("2\n", "3\n"):
        (repository / "other.txt").write_text(text)
        names.add(str(code_version(repository / "package")))
    assert len(names) == 2


def test_the_patch_turns_the_commit_into_what_ran_new_sources_included(repository, tmp_path_factory):
    (repository / "package" / "code.py").write_text("x = 2\n")
    (repository / "package" / "caf\u00e9.py").write_text("y = 3\n")
    (repository / "elsewhere.py").write_text("no part of the package\n")
    found = code_version(repository / "package")
    clone = tmp_path_factory.mktemp("clone") / "clone"
    subprocess.run(["git", "clone", "-q", str(repository), str(clone)], check=True)
    subprocess.run(["git", "-C", str(clone), "apply", "-"], input=found.patch.encode(), check=True)
    assert (clone / "package" / "code.py").read_text() == "x = 2\n"
    assert (clone / "package" / "caf\u00e9.py").read_text() == "y = 3\n"
    assert not (clone / "elsewhere.py").exists()


def test_a_package_inside_somebody_elses_checkout_is_not_that_checkout(repository):
    installed = repository / ".venv" / "site-packages" / "lab"
    installed.mkdir(parents=True)
    (installed / "code.py").write_text("x = 1\n")
    assert code_version(installed) == CodeVersion(metadata.version("mnemo-quant"))


def test_without_a_repository_the_release_is_the_version(tmp_path):
    assert str(code_version(tmp_path)) == metadata.version("mnemo-quant")
