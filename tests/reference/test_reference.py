"""The reference itself: held to double precision, consistent with itself, and clear about bad
requests."""

from __future__ import annotations

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeprof.shared.errors import JobError, ModelError
from edgeprof.shared.models.file import ModelFile
from edgeprof.shared.reference import Reference, arithmetic
from edgeprof.shared.reference.arithmetic import F32
from edgeprof.shared.reference.exact import exact_logits
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.reference.weights import load_matrix
from edgeprof.shared.types.model import KvType

#: Largest root-mean-square difference from double precision, relative to the logits' own
#: (docs/arithmetic.md, 8).
BOUNDS = {
    ("f32", KvType.F32): 2e-6,
    ("f32", KvType.F16): 2e-3,
    ("f16", KvType.F32): 2e-6,
    ("q8_0", KvType.F16): 0.04,
    ("q4_0", KvType.F16): 0.04,
    ("tq2_0", KvType.F16): 0.08,
}
MODELS = {
    "f32": SyntheticLlama(dim=72, hidden=101, n_heads=6, n_heads_kv=2, rope_dim=6, n_layers=4),
    "f16": SyntheticLlama(matrix_type=Type.F16, output_type=Type.F16),
    "q8_0": SyntheticLlama(matrix_type=Type.Q8_0, n_layers=4),
    "q4_0": SyntheticLlama(matrix_type=Type.Q4_0, output_type=Type.Q8_0, n_layers=4),
    "tq2_0": SyntheticLlama(matrix_type=Type.TQ2_0, dim=256, hidden=512, n_layers=4),
}
TOKENS = [int(t) for t in np.random.default_rng(2).integers(0, 128, 64)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFile]:
    """Every model, opened."""
    folder = tmp_path_factory.mktemp("models")
    return {
        name: ModelFile.open(model.write(folder / f"{name}.gguf")) for name, model in MODELS.items()
    }


@pytest.mark.parametrize(("name", "kv_type"), BOUNDS)
def test_close_to_double_precision(files: dict[str, ModelFile], name: str, kv_type: KvType) -> None:
    """The written arithmetic computes llama: its distance from the exact network is rounding."""
    exact = exact_logits(files[name], TOKENS)

    difference = Reference(files[name]).logits(TOKENS, kv_type) - exact

    assert np.sqrt((difference**2).mean() / (exact**2).mean()) < BOUNDS[name, kv_type]


def test_decoding_one_by_one_equals_scoring_at_once(files: dict[str, ModelFile]) -> None:
    """How positions are grouped changes no bit: greedy ids are the argmax of the logits of the
    whole."""
    reference = Reference(files["q8_0"])
    generated = reference.greedy(TOKENS[:5], 30, 64, KvType.F16)

    logits = reference.logits([*TOKENS[:5], *generated[:-1]], KvType.F16)

    assert logits[4:].argmax(axis=1).tolist() == generated


def test_chunks_change_no_bit(files: dict[str, ModelFile], monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention over chunks of the prompt gives the bits of attention over all of it."""
    reference = Reference(files["f32"])
    whole = reference.logits(TOKENS)
    monkeypatch.setattr("edgeprof.shared.reference.model._CHUNK", 7)

    np.testing.assert_array_equal(whole, reference.logits(TOKENS))


def test_score_is_the_log_softmax(files: dict[str, ModelFile]) -> None:
    """Scores are natural logs of probabilities, close to double precision's; top-1 is the
    argmax."""
    reference = Reference(files["f32"])
    logits = reference.logits(TOKENS).astype(np.float64)[:-1]
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    likelihoods, top1 = reference.score(TOKENS)

    assert likelihoods == pytest.approx(expected[np.arange(63), TOKENS[1:]], abs=1e-5)
    assert top1 == logits.argmax(axis=1).tolist()


@pytest.mark.parametrize(
    ("prompt", "n_gen", "n_ctx", "code"),
    [
        ([], 1, 64, "empty_prompt"),
        ([1] * 60, 6, 64, "context"),
        ([1], 1, 65, "context"),
        ([128], 1, 64, "token"),
        ([-1], 1, 64, "token"),
    ],
)
def test_bad_requests_are_named(
    files: dict[str, ModelFile], prompt: list[int], n_gen: int, n_ctx: int, code: str
) -> None:
    """The reference refuses a request that no board would run, with the board's word."""
    with pytest.raises(JobError) as refused:
        Reference(files["f32"]).greedy(prompt, n_gen, n_ctx)

    assert refused.value.code == code


def test_a_type_without_kernel_is_refused() -> None:
    """A type outside the five is a fault of the model."""
    with pytest.raises(ModelError, match="type 10"):
        load_matrix(np.zeros(84, np.uint8), 10, 1, 256)


@pytest.mark.parametrize("kind", [Type.F16, Type.Q8_0, Type.Q4_0, Type.TQ2_0])
def test_rows_are_what_gguf_dequantizes(kind: Type) -> None:
    """Our reading of each block layout is the gguf package's."""
    from gguf.quants import quantize

    raw = quantize(np.random.default_rng(1).normal(size=(3, 512)).astype(np.float32), kind)
    expected = dequantize(raw, kind)

    rows = load_matrix(raw.reshape(-1).view(np.uint8), int(kind), 3, 512).rows(np.arange(3))

    np.testing.assert_array_equal(expected, rows)


FLOATS = st.floats(-1e6, 1e6, width=32)


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=1, max_side=70), elements=FLOATS)
)
def test_canonical_sum_is_eight_strided_sums(values: F32) -> None:
    """ordered_sum is the loop of docs/arithmetic.md, section 2, written naively."""
    s = [np.float32(0)] * 8
    for i, value in enumerate(values):
        s[i % 8] = s[i % 8] + value
    expected = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))

    assert arithmetic.ordered_sum(values) == expected


@settings(max_examples=50)
@given(hnp.arrays(np.float32, (2, 64), elements=st.floats(-(2.0**60), 2.0**60, width=32)))
def test_quantised_activations_are_within_half_a_step(x: F32) -> None:
    """Each quantised input is an integer of at most 127, at most half a step (and rounding) from
    its value."""
    integers, scales = arithmetic.quantize_activations(x, 32)
    blocks = x.reshape(2, 2, 32).swapaxes(0, 1)

    assert np.abs(integers).max() <= 127
    assert np.array_equal(integers, np.rint(integers))
    assert (
        np.abs(integers * scales[:, :, None] - blocks) <= scales[:, :, None] * 0.5001 + 2.0**-100
    ).all()
