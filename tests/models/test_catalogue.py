"""Finding models by name and by path."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from edgeprof.shared.errors import UsageError
from edgeprof.shared.models import catalogue

ROOT = Path(__file__).resolve().parents[2]


def test_shipped_models_are_listed() -> None:
    """The two models that ship have the names that the documents use, each below 1.5 MB."""
    models = catalogue.list_models()

    assert {model.name for model in models} == {"shakespeare-240k", "shakespeare-1m"}
    assert set(catalogue.bundled()) == {model.name for model in models}
    assert all(model.size_bytes < 1_500_000 for model in models)


def test_the_wheel_carries_what_the_checkout_has() -> None:
    """Each GGUF of models/ is force-included beside catalogue.py, where bundled_dir() looks
    first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]

    for path in catalogue.bundled().values():
        assert included[f"models/{path.name}"] == f"edgeprof/shared/models/{path.name}"


def test_a_path_is_opened() -> None:
    """A file is found by path, too."""
    path = catalogue.bundled()["shakespeare-1m"]

    assert catalogue.resolve(str(path)).sha256 == catalogue.resolve("shakespeare-1m").sha256


def test_unknown_name_lists_what_there_is() -> None:
    """The refusal says which models are bundled."""
    with pytest.raises(UsageError) as caught:
        catalogue.resolve("shakespeare-7b")

    assert "shakespeare-240k" in (caught.value.hint or "")


def test_a_path_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that gives a Path means that file, though a bundled model is called the same; text
    is a name."""
    own = tmp_path / "shakespeare-240k"
    own.write_bytes(catalogue.bundled()["shakespeare-1m"].read_bytes())
    monkeypatch.chdir(tmp_path)

    assert catalogue.resolve(Path("shakespeare-240k")).sha256 == catalogue.resolve(str(own)).sha256
    assert catalogue.locate("shakespeare-240k") == catalogue.bundled()["shakespeare-240k"]
    own.unlink()
    assert catalogue.locate(Path("shakespeare-240k")) == catalogue.bundled()["shakespeare-240k"]


def test_a_name_too_long_for_any_file_is_one_line() -> None:
    """A name too long for the system is a wrong call, and is cut short in the message."""
    with pytest.raises(UsageError, match="File name too long") as caught:
        catalogue.locate("m" * 5000)

    assert len(str(caught.value)) < 200
