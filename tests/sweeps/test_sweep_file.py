"""A sweep's file: its combinations, its rules, and mistakes told with their line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprof.client import Lab, resuming, sweep_plan
from edgeprof.client.request import Request
from edgeprof.client.sweep_file import SweepFile
from edgeprof.shared.errors import UsageError
from edgeprof.shared.types.board import BoardInfo, BoardState
from tests.support.board_infos import board_with_ram

Read = Callable[[str], SweepFile]

SWEEP = """\
# which one?
model = ["shakespeare-240k", "mine.gguf"]
quantization = ["F32", "q8_0"]
platform = ["esp32s3", "rp2040"]
board = "desk-1"
prompt = "To be"
n_prompt = [16, 64]
kv_type = ["F16", "F32"]

[tags]
shelf = "2"

[[exclude]]
model = "mine.gguf"
platform = ["esp*", "nothing"]
n_prompt = 64

[[exclude]]
kv_type = "f32"
quantization = "Q8_0"
"""


def test_every_combination_is_a_request(sweep_file: Read, tmp_path: Path) -> None:
    """Models, types, targets, prompts and cache types multiply; a model's path is beside the file;
    what a rule excludes is left out."""
    file = sweep_file('require = ["psram=8MB"]\n' + SWEEP)

    made = file.requests()

    # 12 of each of four types and cache types; all of Q8_0 with an F32 cache is left out.
    excluded = 3  # of mine.gguf on esp32s3 with 64 tokens: F32 with both caches, Q8_0 with F16
    assert len(made) == 2 * 2 * 3 * 3 * 2 - 2 * 3 * 3 - excluded
    assert {str(request.model) for request in made} == {
        "shakespeare-240k",
        str(tmp_path / "mine.gguf"),
    }
    assert {(r.prompt, r.n_prompt) for r in made} == {("To be", 64), (None, 16), (None, 64)}
    assert all(request.tags == {"shelf": "2"} and not request.score for request in made)
    assert all(request.require == {"psram": "8MB"} for request in made)


def test_include_rules_leave_only_what_they_match(sweep_file: Read) -> None:
    """With include rules, a combination has to match one of them, and no exclude rule."""
    file = sweep_file(
        SWEEP + '[[include]]\nplatform = "rp2040"\nprompt = "*"\n[[include]]\nboard = "desk-?"\n'
    )

    made = file.requests()

    assert {(r.platform, r.board) for r in made} == {("rp2040", None), (None, "desk-1")}
    assert {r.prompt for r in made if r.platform} == {"To be"}


@pytest.mark.parametrize(
    ("written", "instead", "words"),
    [
        ("kv_type = [", "kv_tipe = [", "line 8: unknown key 'kv_tipe', did you mean 'kv_type'"),
        ("quantization = [", "types = [", "line 3: unknown key 'types', did you mean 'quantiz"),
        ('"q8_0"', '"Q8"', "line 3: quantization is 'Q8': .*did you mean 'Q8_0'"),
        ("[16, 64]", "[16,\n  0]", "line 8: n_prompt is 0: input should be greater than"),
        ("[16, 64]", '["16"]', "line 7: n_prompt is '16': input should be a valid integer"),
        ('shelf = "2"', "shelf = 2", "line 11: shelf is 2: input should be"),
        ('model = "mine', 'modle = "mine', "line 14: unknown key 'modle', did you mean 'model'"),
        ("n_prompt = 64", "n_prompt = 65", "line 13: exclude: this rule matches no combination"),
        ('kv_type = "f32"\nquantization = "Q8_0"', "", "line 18: exclude: this rule matches no"),
        ('kv_type = "f32"\nquantization = "Q8_0"', 'model = "*"', "the rules leave no combination"),
        ("[16, 64]", "16\nmax_attempts = 21", "line 8: max_attempts is 21: input should be less"),
        ("[16, 64]", "16\nqueue_timeout_s = 0", "line 8: queue_timeout_s is 0: input should be"),
        (
            "[16, 64]",
            "16\ncheck_output = 1",
            "line 8: check_output is 1: input should be a valid b",
        ),
        ("[16, 64]", "16\nretries = 1", "line 8: unknown key 'retries', did you mean 'max_attempt"),
        ("model = [", "# ", "no key 'model'"),
        ("board =", "board", "is not TOML: .*line 5"),
        (
            'platform = ["esp32s3", "rp2040"]\nboard = "desk-1"',
            "",
            "no key 'platform' and no key 'board'",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(
    sweep_file: Read, written: str, instead: str, words: str
) -> None:
    """A mistake names the file, the line and what was probably meant."""
    assert written in SWEEP

    with pytest.raises(UsageError, match=words) as caught:
        sweep_file(SWEEP.replace(written, instead, 1)).requests()

    assert "night.toml" in str(caught.value)


def test_how_each_job_is_run_can_be_written_down(sweep_file: Read) -> None:
    """How long jobs wait, how often they are tried, and whether tokens are checked, holds for
    measured and for scored jobs; without a word it is as for a single job."""
    text = 'model = "m"\nboard = "b"\n'
    own = "queue_timeout_s = 60\nmax_attempts = 1\ncheck_output = false\n"
    file = sweep_file(text + own)
    (asked,) = file.requests()
    for request in (asked, file.scored(asked)):
        found = request.queue_timeout_s, request.max_attempts, request.check_output
        assert found == (60, 1, False)
    (plain,) = sweep_file(text).requests()
    usual = Request(model="m")
    assert plain.queue_timeout_s == usual.queue_timeout_s
    assert (plain.max_attempts, plain.check_output) == (usual.max_attempts, usual.check_output)


def test_a_file_that_is_not_there() -> None:
    """A file that cannot be read is one line."""
    with pytest.raises(UsageError, match=r"no\.toml: cannot read: No such file"):
        SweepFile.read(Path("no.toml"))


@pytest.mark.parametrize(
    ("written", "instead", "words"),
    [
        ("shakespeare-240k", "shakespear", "line 1: no model 'shakespear'"),
        ('"big"', '"big"\ncorpus = "no.txt"', r"line 3: .*no\.txt: cannot read"),
        ('"big"', '"bgi"', "line 2: no platform 'bgi' in this lab; did you mean 'big'"),
    ],
)
def test_a_name_that_the_lab_does_not_know_has_its_line(
    lab: Lab, sweep_file: Read, written: str, instead: str, words: str
) -> None:
    """A model, platform or board that does not exist is told with the file's line."""
    text = 'model = "shakespeare-240k"\nplatform = "big"\n'

    with pytest.raises(UsageError, match=words):
        sweep_plan.plan(lab, sweep_file(text.replace(written, instead)), boards())


def boards() -> list[BoardInfo]:
    return [
        board_with_ram("small-1", "1", "small", 96 << 10),
        board_with_ram("big-1", "2", "big", 4 << 20),
    ]


def test_quality_is_measured_once_for_a_model(lab: Lab, sweep_file: Read) -> None:
    """Each model, type and context is scored once, on a board that it fits; what fits nowhere is
    refused, and no job is twice in the plan."""
    file = sweep_file(
        'model = "shakespeare-240k"\nquantization = ["F32", "Q8_0"]\n'
        'platform = ["small", "big"]\nboard = "big-1"\nn_prompt = [4, 8]\nn_gen = [4, 4]\n'
        "n_ctx = [32, 64]\nscore_tokens = 40\n"
    )

    plan = sweep_plan.plan(lab, file, boards())

    scored = [(asked, made) for asked, made in plan.planned if made.spec.score]
    assert {(asked.quantization, made.spec.n_ctx) for asked, made in scored} == {
        (kind, n_ctx) for kind in ("F32", "Q8_0") for n_ctx in (32, 64)
    }
    assert len(scored) == 4
    assert all(asked.platform == "big" for asked, _ in scored)
    assert len(plan.planned) == 4 + 2 * 2 * 2 * 2
    assert len(plan.refused) == 2 * 2 * 2
    assert all("does not fit small-1" in str(each.error) for each in plan.refused)


def test_firmware_of_boards_that_are_away_is_told(sweep_file: Read) -> None:
    """It may be another one tomorrow, and then nothing of today's sweep counts."""
    file = sweep_file('model = "shakespeare-240k"\nplatform = ["small", "big"]\n')
    small, big = boards()
    gone = {"state": BoardState.OFFLINE, "firmware_git_hash": "0123456789ab"}

    assert resuming.away(file, [small, big]) == []
    assert resuming.away(file, [small, small.model_copy(update=gone), big]) == []
    assert resuming.away(file, [small.model_copy(update=gone), big]) == [
        "no board of small is online: its firmware is taken to be 01234567, as last seen"
    ]


def test_heads_multiply_and_each_has_its_quality(sweep_file: Read) -> None:
    """A head's type is a part of the model: speed and quality are measured with the same one."""
    file = sweep_file('model = "shakespeare-240k"\nplatform = "p"\nhead = ["q8_0", "F16"]\n')

    made = file.requests()

    assert [request.head for request in made] == ["Q8_0", "F16"]
    assert [file.scored(request).head for request in made] == ["Q8_0", "F16"]
