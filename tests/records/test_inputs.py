"""A record holds its inputs: from Lab.submit to every JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeprof.client import Lab
from edgeprof.shared.errors import JobError, UsageError
from edgeprof.shared.models import ModelFile, catalogue, quantized
from edgeprof.shared.models.tokenizer import tokenizer_of
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.case import MAX_PROMPT_CHARACTERS
from edgeprof.shared.types.job import SCHEMA_VERSION, JobSpec
from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.result import Inputs
from tests.records.conftest import with_token
from tests.support.jobs import largest

MODEL = "shakespeare-240k"


@pytest.fixture
def lab(settings: Settings) -> Iterator[Lab]:
    with Lab(settings=settings) as opened:
        yield opened


@pytest.fixture
def inputs_of(lab: Lab) -> Callable[..., Inputs]:
    """`inputs_of(prompt=..., ...)`: what the record of a job that was asked for so says."""

    def ask(model: Any = MODEL, **wishes: Any) -> Inputs:
        view = lab.submit(model, platform="someday", wait_for_board=True, **wishes).view()
        assert view.inputs is not None
        return view.inputs

    return ask


def test_all_that_was_asked_for_is_there(inputs_of: Callable[..., Inputs]) -> None:
    """A record holds all inputs: with the model's file, anybody can run the job again."""
    inputs = inputs_of(
        prompt="ROMEO:\n", n_gen=7, repetitions=5, warmup=2, n_ctx=99, kv_type="F32",
        tags={"branch": "fast"}, timeout_s=12.0, max_attempts=2, check_output=False,
    )  # fmt: skip

    (case,) = inputs.cases
    tokens = tuple(tokenizer_of(catalogue.resolve(MODEL)).encode("ROMEO:\n"))
    assert (case.prompt_source, case.prompt_text, case.prompt_tokens) == (
        "text",
        "ROMEO:\n",
        tokens,
    )
    assert (case.prompt_characters, case.n_gen, case.scoring) == (7, 7, None)
    assert (inputs.schema_version, inputs.repetitions, inputs.warmup) == (SCHEMA_VERSION, 5, 2)
    assert (inputs.n_ctx, inputs.kv_type, inputs.tags) == (99, "F32", {"branch": "fast"})
    assert (inputs.timeout_s, inputs.max_attempts, inputs.check_output) == (12.0, 2, False)
    assert inputs.source.startswith("python ")


@pytest.mark.parametrize(
    ("wishes", "source", "text"),
    [
        ({"prompt_tokens": [5, 6]}, "tokens", None),
        ({"n_prompt": 6}, "standard", "Shall I compare th"),
    ],
)
def test_where_a_prompt_came_from(
    inputs_of: Callable[..., Inputs], wishes: dict[str, Any], source: str, text: str | None
) -> None:
    """Ids have no text; of the standard text it is what the tokens say."""
    (case,) = inputs_of(**wishes).cases

    assert case.prompt_source == source
    assert (case.prompt_text is None) == (text is None)
    if text is not None:
        assert tokenizer_of(catalogue.resolve(MODEL)).decode(case.prompt_tokens) == case.prompt_text


def test_a_long_prompt_is_kept_in_part_and_says_so(lab: Lab, tmp_path: Path) -> None:
    """A long prompt's tokens are kept whole, its text is cut, and its length is recorded."""
    from edgeprof.client.preparation import Prompt

    prompt = Prompt((1,), "text", "\x00" * (MAX_PROMPT_CHARACTERS + 5))

    assert prompt.kept == "\x00" * MAX_PROMPT_CHARACTERS
    assert prompt.characters == MAX_PROMPT_CHARACTERS + 5


@pytest.mark.parametrize("code", [0xDCFF, 0xD800, 0xDFFF])
def test_a_prompt_of_broken_bytes_is_kept_as_unicode(
    inputs_of: Callable[..., Inputs], code: int
) -> None:
    """A prompt of broken bytes or half a character is kept as Unicode, which JSON, Redis and SQL
    can hold."""
    (case,) = inputs_of(prompt=f"a{chr(code)}b").cases

    assert case.prompt_text == "a\ufffdb"


@pytest.mark.parametrize("prompt", ["\0", "a\r\nb\r", "\ufeffx", "😀 e\u0301", "\u2028"])
def test_a_prompt_is_kept_as_it_was_given(inputs_of: Callable[..., Inputs], prompt: str) -> None:
    """Zeros, ends of lines of any kind and what has no width are a part of it."""
    (case,) = inputs_of(prompt=prompt).cases

    assert (case.prompt_text, case.prompt_characters) == (prompt, len(prompt))
    assert tokenizer_of(catalogue.resolve(MODEL)).decode(case.prompt_tokens) == prompt


@pytest.mark.parametrize("kind", [list, tuple, iter, np.array])
def test_token_ids_come_in_whatever_holds_them(
    inputs_of: Callable[..., Inputs], kind: Callable[[list[int]], Any]
) -> None:
    """A list, a generator, an array of a tokenizer."""
    (case,) = inputs_of(prompt_tokens=kind([5, 6])).cases

    assert case.prompt_tokens == (5, 6)


@pytest.mark.parametrize(
    "wishes",
    [{"prompt_tokens": "12"}, {"prompt_tokens": [1.0]}, {"prompt_tokens": 7}, {"prompt": 5}],
)
def test_a_prompt_that_is_none_is_a_wrong_call(
    inputs_of: Callable[..., Inputs], wishes: dict[str, Any]
) -> None:
    """A prompt of a wrong type is a usage error that names what was given."""
    with pytest.raises(UsageError, match=f"{next(iter(wishes))} must be"):
        inputs_of(**wishes)


def test_types_are_named_in_either_case(inputs_of: Callable[..., Inputs]) -> None:
    """The Python API takes a type in either case, as the command line does."""
    assert inputs_of(kv_type="f32", quantization="q8_0").kv_type == "F32"


def test_a_prompt_of_a_billion_tokens_is_not_made(inputs_of: Callable[..., Inputs]) -> None:
    """A prompt is refused by its count before it fills the memory."""
    with pytest.raises(JobError, match="the prompt has 1000000000 tokens"):
        inputs_of(n_prompt=10**9)


def test_the_empty_prompt_is_bos_alone(inputs_of: Callable[..., Inputs]) -> None:
    """The empty prompt is BOS alone, whether or not the model begins texts with it."""
    (case,) = inputs_of(prompt="").cases

    assert (case.prompt_source, case.prompt_text, case.prompt_tokens) == ("text", "", (1,))


def test_the_empty_prompt_needs_a_bos(
    inputs_of: Callable[..., Inputs], model: ModelFile, tmp_path: Path
) -> None:
    """The empty prompt in a model without BOS is an error that says what to do."""
    without = with_token(model, "bos_token_id", 0xFFFFFFFF, tmp_path / "without.gguf")

    with pytest.raises(UsageError, match="no token that begins a text") as caught:
        inputs_of(without.path, prompt="")

    assert "--prompt-tokens" in str(caught.value.hint)


def test_tensor_bytes_are_llama_benchs_model_size(
    inputs_of: Callable[..., Inputs], settings: Settings
) -> None:
    """The sum of the tensors, without the file's header and padding."""
    file = quantized(catalogue.resolve(MODEL), Quantization.Q8_0, settings.cache_dir)

    inputs = inputs_of(quantization="Q8_0", prompt_tokens=[1])

    assert inputs.tensor_bytes == sum(info.n_bytes for info in file.header.tensors.values())
    assert inputs.tensor_bytes is not None
    assert inputs.tensor_bytes < file.size_bytes


def test_a_retry_has_the_same_inputs(lab: Lab) -> None:
    """A retry has the inputs of its job, but for the tag that names the job."""
    job = lab.submit(MODEL, platform="someday", wait_for_board=True, prompt="a", tags={"x": "y"})
    job.cancel()

    again = lab.retry(job.id).view().inputs

    before = job.view().inputs
    assert before is not None
    assert again == before.model_copy(update={"tags": {"x": "y", "retry-of": job.id}})


def test_a_job_as_large_as_may_be_has_room_for_its_inputs() -> None:
    """The longest prompts and the most windows are still a record that Redis takes."""
    text = len(largest().model_dump_json().encode())

    assert text < JobSpec.largest_bytes
    assert json.loads(largest().model_dump_json())["cases"][0]["scoring"] is not None
