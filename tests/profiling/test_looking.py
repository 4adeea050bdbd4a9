"""A profiled job on the real firmware: what its result says of where the time goes."""

from __future__ import annotations

from collections import defaultdict

import pytest

from edgeprof.shared.models import ModelFile
from edgeprof.shared.models.operators import ATTENTION, calls_of
from edgeprof.shared.types.profile import Operator, Phase, Profile
from edgeprof.workers.link.hello import FEATURE_PROFILE
from edgeprof.workers.profiling.looking import TOO_OLD
from tests.profiling.session_types import Session

N_PROMPT, N_GEN = 4, 8


@pytest.fixture
def profile(session: Session) -> Profile:
    result, _ = session(profile=True, n_gen=N_GEN)
    found = result.cases[0].profile
    assert found is not None
    return found


def test_operators_and_the_rest_are_the_window(profile: Profile) -> None:
    """Ticks by layer and ticks by position are the same ticks; what is left is the profile's."""
    for phase in Phase:
        assert 0 <= profile.unaccounted_ticks(phase) < profile.window_ticks(phase)
    by_position = sum(map(sum, profile.by_position))
    assert by_position == sum(cell.ticks for cell in profile.cells)


def test_board_and_host_count_the_same_work(session: Session, profile: Profile) -> None:
    """Calls, multiply-accumulates and bytes that the board counted are those that the model's
    sizes make."""
    result, _ = session(profile=True, n_gen=N_GEN)
    assert result.dimensions is not None
    expected: dict[tuple[Phase, Operator], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for phase, positions, with_head in (
        (Phase.PREFILL, range(1, N_PROMPT + 1), [N_PROMPT]),
        (Phase.DECODE, range(N_PROMPT + 1, N_PROMPT + N_GEN), range(N_PROMPT + 1, 99)),
    ):
        for position in positions:
            for call in calls_of(result.dimensions, head=position in with_head):
                times = call.count * (position if call.operator in ATTENTION else 1)
                sums = expected[phase, call.operator]
                sums[0] += call.count
                sums[1] += call.macs * times
                sums[2] += call.weight_bytes * call.count
                sums[3] += call.cache_bytes * times

    counted: dict[tuple[Phase, Operator], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for cell in profile.cells:
        sums = counted[cell.phase, cell.operator]
        for place, name in enumerate(("calls", "macs", "weight_bytes", "cache_bytes")):
            sums[place] += getattr(cell, name)

    assert counted == expected


def test_nothing_of_it_is_in_the_measured_numbers(session: Session) -> None:
    """A profiled job has as many samples as another, and progress that ends at 100 %."""
    result, seen = session(profile=True, repetitions=3)

    case = result.cases[0]
    assert len(case.ttft_s.samples) == 3
    assert case.profile is not None
    assert case.profile.cost_of_looking is not None
    assert seen[-1]["percent"] == 100.0
    assert "profile" in {fields["phase"] for fields in seen}
    assert result.ceilings is not None
    assert {kernel.quantization for kernel in result.ceilings.kernels} == {
        "F32", "F16", "Q8_0", "Q4_0", "TQ2_0"
    }  # fmt: skip


def test_old_firmware_is_measured_without_a_profile(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job succeeds, and says why it has no profile."""
    monkeypatch.setattr("edgeprof.workers.link.device.FEATURE_PROFILE", FEATURE_PROFILE << 20)

    result, _ = session(profile=True)

    assert result.cases[0].profile is None
    assert (result.ceilings, result.profile_trouble) == (None, TOO_OLD)


def test_every_result_says_what_follows_from_its_speed(session: Session, model: ModelFile) -> None:
    """Work and bytes a token come from the model's sizes, the share of prefill from the times."""
    result, _ = session(n_gen=N_GEN)

    derived = result.cases[0].derived
    assert derived is not None
    weights = sum(
        info.n_elements
        for name, info in model.header.tensors.items()
        if name != "token_embd.weight"
    )
    embedding = model.shape.n_vocab * model.shape.dim
    assert derived.macs_per_token is not None
    assert derived.macs_per_token > weights + embedding - 10_000
    assert derived.cycles_per_token is None  # this host's clock is not the board's
    assert 0 < derived.prefill_share < 1
