"""`edgeprof models` with files from elsewhere: what it says of them and never does to them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType as Type

from edgeprof.cli import exits
from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference.synthetic import SyntheticLlama

Edgeprof = Callable[..., "subprocess.CompletedProcess[str]"]

SHAPE = SyntheticLlama(dim=64, hidden=172, n_layers=1, n_vocab=32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An F32 model with a feed-forward width that no block divides."""
    return SHAPE.write(tmp_path / "my model.gguf")


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """What llama.cpp writes and no board runs: Q4_0 with an embedding in Q5_1."""
    shape = replace(SHAPE, hidden=96, matrix_type=Type.Q4_0, embedding_type=Type.Q5_1)
    return shape.write(tmp_path / "foreign.gguf")


@pytest.mark.parametrize("link", ["itself", "another way", "symlink", "hard link"])
def test_quantize_never_replaces_its_source(
    edgeprof: Edgeprof, model: Path, tmp_path: Path, link: str
) -> None:
    """The output may not be the source, by whatever name; the refusal comes before a byte is
    written."""
    before, out = model.read_bytes(), tmp_path / "out.gguf"
    if link == "symlink":
        out.symlink_to(model)
    elif link == "hard link":
        os.link(model, out)
    else:
        out = model if link == "itself" else model.parent / ".." / tmp_path.name / model.name

    done = edgeprof("models", "quantize", str(model), "q8_0", "-o", str(out))

    assert done.returncode == exits.USAGE
    assert "is the file to convert from, which is never replaced" in done.stderr
    assert "hint: give another name with --out" in done.stderr
    assert model.read_bytes() == before
    assert out.exists()


@pytest.mark.parametrize("to", ["q8_0", "Q8_0", "q4_0", "F16", "f32", "Q4_0"])
def test_types_are_taken_in_any_case_and_padding_is_told(
    edgeprof: Edgeprof, model: Path, tmp_path: Path, to: str
) -> None:
    """A person is told of zeros that were added, and only then."""
    out = tmp_path / "out.gguf"

    done = edgeprof("models", "quantize", str(model), to, "-o", str(out))

    assert done.returncode == exits.OK, done.stderr
    assert ("padded with zeros to 192" in done.stderr) == (to.upper() in {"Q8_0", "Q4_0"})
    assert ModelFile.open(out).quantization == to.upper()


def test_quantize_as_json(edgeprof: Edgeprof, model: Path, tmp_path: Path) -> None:
    """--json prints what was made and what was changed; parameters are those that were trained."""
    done = edgeprof("models", "quantize", str(model), "q8_0", "-o", f"{tmp_path}/out", "--json")

    facts = json.loads(done.stdout)
    assert (facts["quantization"], facts["hidden"]) == ("Q8_0", 192)
    assert facts["n_params"] == ModelFile.open(model).n_params
    assert "172 is padded" in facts["note"]


def test_inspect_shows_what_can_only_be_converted(edgeprof: Edgeprof, foreign: Path) -> None:
    """A file that no board runs is shown with its types, and with what makes it run."""
    facts = json.loads(edgeprof("models", "inspect", str(foreign), "--json").stdout)
    text = edgeprof("models", "inspect", str(foreign)).stdout

    assert facts["types"]["Q5_1"]["tensors"] == 1
    assert facts["quantization"] == "Q4_0"
    assert "'token_embd.weight' is Q5_1, which no board has a kernel for" in facts["boards"]
    assert "submit -q q8_0" in facts["convert"]
    assert "no, convert it" in text


def test_hints_of_a_refusal_can_be_followed(
    edgeprof: Edgeprof, foreign: Path, tmp_path: Path
) -> None:
    """submit without -q is refused; each command of its hint, typed as it is, works."""
    lab = (
        "--platform",
        "x",
        "--wait-for-board",
        "--no-wait",
        "-n",
        "4",
        "--prompt-tokens",
        "1,2,3",
    )
    refused = edgeprof("submit", "-m", str(foreign), *lab)
    assert refused.returncode == exits.USAGE
    assert "no board has a kernel for" in refused.stderr
    hint = " ".join(refused.stderr.split("hint:")[1].split("(")[0].split())

    option, command = hint.split("convert it: submit ")[1].split(", or edgeprof ")
    queued = edgeprof("submit", "-m", str(foreign), *shlex.split(option), *lab)
    *arguments, out = shlex.split(command)
    made = edgeprof(*arguments, str(tmp_path / out))

    assert queued.returncode == exits.OK, queued.stderr
    assert made.returncode == exits.OK, made.stderr
    again = edgeprof("submit", "-m", str(tmp_path / out), *lab)
    assert again.returncode == exits.OK, again.stderr


def test_submit_tells_of_padding(edgeprof: Edgeprof, model: Path) -> None:
    """submit prints what -q changes in order to make a type."""
    done = edgeprof(
        "submit", "-m", str(model), "-q", "q8_0", "-q", "f16",
        "--platform", "x", "--wait-for-board", "--no-wait", "-n", "4", "--prompt-tokens", "1,2",
    )  # fmt: skip

    assert done.returncode == exits.OK, done.stderr
    assert done.stderr.count("172 is padded with zeros to 192") == 1


def test_inspect_shows_metadata(edgeprof: Edgeprof, model: Path) -> None:
    """Keys and values as the file has them; long arrays are shortened, with their length."""
    text = edgeprof("models", "inspect", str(model)).stdout
    metadata = json.loads(edgeprof("models", "inspect", str(model), "--json").stdout)["metadata"]

    assert "1e-05" in text
    assert "['t0', 't1', 't2', 't3', 't4', 't5', … 26 more]" in text
    assert metadata["llama.attention.layer_norm_rms_epsilon"] == {"type": "float32", "value": 1e-05}
    tokens = metadata["tokenizer.ggml.tokens"]
    assert (tokens["type"], tokens["length"], tokens["value"][31]) == ("array of string", 32, "t31")


def test_inspect_takes_any_value(edgeprof: Edgeprof, model: Path) -> None:
    """Bytes that are no UTF-8, and control characters, reach neither terminal nor JSON."""
    data = model.read_bytes()
    model.write_bytes(data.replace(b"t31", b"\xff\x1b[", 1).replace(b"t30", b"a\nb", 1))

    facts = edgeprof("models", "inspect", str(model), "--json")
    text = edgeprof("models", "inspect", str(model))

    tokens = json.loads(facts.stdout)["metadata"]["tokenizer.ggml.tokens"]["value"]
    assert tokens[30:] == ["a\nb", "\\xff\x1b["]
    assert text.returncode == exits.OK
    assert "\x1b" not in text.stdout


def test_wrong_files_are_named_by_every_command(edgeprof: Edgeprof, tmp_path: Path) -> None:
    """inspect, quantize and submit say the same of a file that is no model."""
    path = tmp_path / "m.gguf"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\nsize 12\n")

    for command in (
        ("models", "inspect", str(path)),
        ("models", "quantize", str(path), "q8_0", "-o", str(tmp_path / "o.gguf")),
        ("submit", "-m", str(path), "--platform", "x", "--wait-for-board"),
    ):
        done = edgeprof(*command)
        assert done.returncode == exits.USAGE
        assert "a Git LFS pointer" in done.stderr
        assert "hint: git lfs pull" in done.stderr
