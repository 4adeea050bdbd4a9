"""A record is enough: to repeat the job, to cite it, and to carry it to another lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from edgeprof.client import Lab, citation, rerun
from edgeprof.client.model_finder import ModelFinder
from edgeprof.scheduler.archive import Archive, transfer
from edgeprof.shared.errors import ModelError, UsageError
from edgeprof.shared.models import ModelFile, catalogue
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView
from tests.support.board_infos import board_with_ram
from tests.support.finished_job import finished_job
from tests.support.null_lab import Rig

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "record.schema.json"
MODEL = "shakespeare-240k"


@pytest.fixture
def lab(rig: Rig) -> Iterator[Lab]:
    """A lab with one native board."""
    command = [sys.executable, "-m", "edgeprof.cli", "worker", "--board", "native://?uid=0011"]
    rig.adopt(subprocess.Popen(command, env={**os.environ, **rig.settings.as_environment()}))
    with Lab(settings=rig.settings) as opened:
        rig.until_board("native-0011", BoardState.ONLINE)
        yield opened


def against_schema(document: object) -> None:
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)


@pytest.mark.e2e
def test_a_job_is_repeated_from_its_document_alone(lab: Lab, tmp_path: Path) -> None:
    """Redis is asked for nothing: the new job has the same inputs, and gives the same tokens.

    Both records are what the published schema says.
    """
    job = lab.submit(
        MODEL, platform="native", quantization="Q8_0", prompt="To be", n_gen=8, score=True,
        score_tokens=16, repetitions=2, tags={"shelf": "2"},
    )  # fmt: skip
    document = json.loads(json.dumps(job.wait(timeout=100).model_dump(mode="json")))
    against_schema(document)
    view = JobView.read(json.dumps(document))
    assert view.inputs is not None

    found = ModelFinder(tmp_path / "empty cache", None).find(view.model)
    planned = rerun.plan(view, found, lab.boards(), user="bob")
    (again,) = lab.submit_planned([planned])
    second = again.wait(timeout=100)

    assert second.state is JobState.SUCCEEDED, second.reason
    assert second.inputs is not None
    changed = {"tags": view.inputs.tags | {rerun.TAG: view.id}, "source": second.inputs.source}
    assert second.inputs == view.inputs.model_copy(update=changed)
    assert second.user == "bob"
    assert (second.model, second.target) == (view.model, view.target)
    assert view.result is not None
    assert second.result is not None
    assert second.result.cases[0].tokens == view.result.cases[0].tokens
    assert second.result.cases[0].score == view.result.cases[0].score
    against_schema(second.model_dump(mode="json"))


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
def test_every_ended_job_is_what_the_schema_says(state: JobState) -> None:
    """One without a result too; and the schema is not so loose as to take anything."""
    document = finished_job(state=state).model_dump(mode="json")
    against_schema(document)
    with pytest.raises(jsonschema.ValidationError):
        against_schema(document | {"created_s": "yesterday"})


# --- repeating


def test_a_record_without_inputs_cannot_be_repeated() -> None:
    """Records of schema 1 kept none; nothing is made up."""
    model = catalogue.resolve(MODEL)
    with pytest.raises(UsageError, match="its record is of schema 1, which kept no inputs"):
        rerun.plan(finished_job(inputs=None), model, [], user="bob")


def test_another_board_can_be_named(tmp_path: Path) -> None:
    """By default it is the same board or platform again."""
    model = catalogue.resolve(MODEL)
    view = finished_job(model=model.ref, platform="null")
    boards = [board_with_ram(f"null-{n}", f"0{n}", "null", 16 << 20) for n in (1, 2)]

    same = rerun.plan(view, model, boards, user="bob")
    other = rerun.plan(view, model, boards, user="bob", board="null-2")

    assert (same.spec.target.platform, other.spec.target.device_id) == ("null", "null-2")


def test_a_model_is_found_by_content_and_never_by_name(tmp_path: Path) -> None:
    """In a cache under its hash, or made again of its source; a damaged file does not count."""
    source = catalogue.resolve(MODEL)
    wanted = source.ref
    cache = tmp_path / "cache"
    elsewhere = wanted.model_copy(update={"sha256": "0" * 64, "source": None})
    finder = ModelFinder(cache, None)

    with pytest.raises(UsageError, match="neither in the caches nor in Redis") as caught:
        finder.find(elsewhere)
    assert "-m FILE" in (caught.value.hint or "")
    assert finder.find(wanted).sha256 == wanted.sha256
    kept = finder.keep("0" * 64, source.data)  # its name says another hash
    with pytest.raises(UsageError):
        finder.find(elsewhere)
    assert finder.find(wanted, kept).sha256 == wanted.sha256
    with pytest.raises(UsageError, match="is neither the file that the job ran"):
        finder.find(elsewhere, kept)


def test_a_file_that_is_no_model_is_told(tmp_path: Path) -> None:
    """-m with any file is a model's error, in one line."""
    path = tmp_path / "x.gguf"
    path.write_text("no model")
    with pytest.raises(ModelError):
        ModelFinder(tmp_path, None).find(catalogue.resolve(MODEL).ref, path)


# --- citing


def test_a_citation_has_all_that_a_reader_needs() -> None:
    """Numbers with their spread, and by hash what they are of."""
    told = " ".join(citation.text(finished_job()).split())

    for part in (
        "tiny Q8_0 on stm32f405 @ 168 MHz (emulated, not silicon)",
        "prefill 210.00 ± 10.00 t/s (pp64), decode 101.00 ± 1.00 t/s (tg32 at depth 64)",
        "3 runs after 1 warm-up, context 128 positions, KV cache F16",
        "Greedy output equals the reference's in 32 of 32 tokens",
        f"Model file: sha256 {'ab' * 32}",
        "firmware 0.1.0 abc1234, gcc 12.2",
        "To repeat it: edgeprof rerun job1",
    ):
        assert part in told
    entry = citation.bibtex(finished_job())
    assert entry.startswith("@misc{edgeprof-job1,")
    assert r"Q8\_0" in entry
    with pytest.raises(UsageError, match="has nothing to cite: it is failed"):
        citation.text(finished_job(state=JobState.FAILED))


# --- carrying


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Archive]:
    """Another lab's archive."""
    with Archive(f"sqlite:///{tmp_path / 'other.db'}") as opened:
        yield opened


def of(model: ModelFile, view: JobView) -> JobView:
    """The same job, of this very model."""
    named = view.model.model_copy(update={"sha256": model.sha256})
    return view.model_copy(update={"model": named})


@pytest.mark.parametrize("name", ["jobs.jsonl", "jobs.jsonl.gz"])
def test_jobs_arrive_whole_and_once(other: Archive, tmp_path: Path, name: str) -> None:
    """Also those that failed; importing a file again adds nothing."""
    model = catalogue.resolve(MODEL)
    views = [of(model, finished_job("a")), of(model, finished_job("b", state=JobState.FAILED))]
    kept: dict[str, bytes] = {}
    transfer.write(tmp_path / name, views, lambda _: model.data)

    first = transfer.read(tmp_path / name, other, kept.__setitem__)
    again = transfer.read(tmp_path / name, other, kept.__setitem__)

    assert ([*first.added], first.known) == (["a", "b"], [])
    assert (again.added, again.known) == ([], ["a", "b"])
    assert [other.view("a"), other.view("b")] == views
    assert kept == {model.sha256: model.data}


def test_a_whole_archive_is_read_page_by_page(
    other: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many jobs there are, each is exported once."""
    monkeypatch.setattr("edgeprof.scheduler.archive.archive._PAGE", 2)
    other.save([finished_job(name) for name in "dbeac"])
    assert [view.id for view in other.every()] == [*"abcde"]


def test_one_id_of_two_labs_stays_two_jobs(other: Archive, tmp_path: Path) -> None:
    """The job that was here stays; the one that comes gets an id of its own, always the same."""
    here, there = finished_job("x", user="ada"), finished_job("x", user="bob")
    other.save([here])
    transfer.write(tmp_path / "f.jsonl", [there], lambda _: None)

    done = transfer.read(tmp_path / "f.jsonl", other, lambda *_: None)
    again = transfer.read(tmp_path / "f.jsonl", other, lambda *_: None)

    assert other.view("x") == here
    found = other.view(done.renamed["x"])
    assert found is not None
    assert (found.user, found.result) == ("bob", there.result)
    assert (again.added, again.known) == ([], [done.renamed["x"]])


def test_a_file_that_is_not_whole_adds_nothing(other: Archive, tmp_path: Path) -> None:
    """Cut anywhere, a byte changed, a line left out, or no export at all: one line, no job."""
    path = tmp_path / "f.jsonl"
    model = catalogue.resolve(MODEL)
    views = [of(model, finished_job("a")), of(model, finished_job("b"))]
    transfer.write(path, views, lambda _: model.data)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    spoilt = [
        whole[:-10],
        b"".join(lines[:-1]),
        b"".join([*lines[:2], *lines[3:]]),
        whole.replace(b'"ada"', b'"eve"', 1),
        whole.replace(b'"base64":"R0d', b'"base64":"R0e', 1),
        b"",
        b"{}\n",
        b"[" * 100_000,
        b"\x1f\x8b no gzip",
    ]
    for content in spoilt:
        path.write_bytes(content)
        with pytest.raises(UsageError):
            transfer.read(path, other, lambda *_: None)
    assert other.view("a") is None
    path.write_bytes(whole)
    assert transfer.read(path, other, lambda *_: None).added == ["a", "b"]
