"""A report: one file that needs nothing else, with every number's spread and nothing invented."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import pytest
from typer.testing import CliRunner

from edgeprof.cli.app import app
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView, Samples
from tests.support.finished_job import finished_job
from tests.support.reports import Elements, measured_job, report_of, scoring_job, several

#: Where HTML, CSS and SVG name something to load.
LOADS = re.compile(r"url\((?!#)|@import|srcset=")


def test_a_report_loads_nothing() -> None:
    """It has no link to another file, and its policy forbids to load any."""
    html = report_of(several())

    page = Elements(html)
    for tag, attributes in page.found:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form"}
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert not LOADS.search(html)
    (policy,) = [a["content"] for t, a in page.found if a.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_the_policy_allows_the_one_script() -> None:
    """The script has the hash that the policy names, or sorting would silently be gone."""
    html = report_of(several())
    (script,) = re.findall("<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    assert f"script-src &#39;sha256-{digest}&#39;" in html


def test_what_was_not_measured_is_absent() -> None:
    """Without a meter there is neither a column nor a plot nor a best of energy."""
    without = report_of(several())
    with_meter = [measured_job(f"m{mj}", platform="esp32s3", energy_mj=mj) for mj in (0.25, 0.5)]
    metered = report_of([*several(), *with_meter])

    for words in ("mJ/token", "Speed against energy", "least energy"):
        assert words not in without
        assert words in metered
    assert "by ppk2" in metered


def test_every_number_has_its_spread() -> None:
    """Speeds are shown with the deviation of their runs, perplexity with its error, and a single
    run says that it is one."""
    html = report_of(several())
    alone = measured_job("one")
    assert alone.result is not None
    case = alone.result.cases[0].model_copy(update={"decode_tokens_per_second": Samples.of([90.0])})
    single = alone.model_copy(update={"result": alone.result.model_copy(update={"cases": (case,)})})

    assert "100.1 <small>± 0.1</small>" in html
    assert "41.73 <small>± 7.57</small>" in html
    assert "25.0% <small>± 2.7%</small>" in html
    assert "90.00 <small>1 run</small>" in report_of([single])


def test_the_emulated_says_so() -> None:
    """In the words at the top, in the table and by platform; silicon does not."""
    mixed, silicon = report_of(several()), report_of(several()[:3])

    assert "1 of 2 boards is emulated, not silicon" in mixed
    assert "stm32f405 (emu)" in mixed
    assert "stm32f405 (emulated)" in Elements(mixed).text("h3")
    assert not any("emu" in text for text in Elements(silicon).text("p", "h3", "td", "dd"))


def test_runs_that_differ_are_pointed_out() -> None:
    """A deviation of more than 5 % is no basis for a comparison, and the report says so."""
    wobbly = finished_job("w", platform="esp32s3")
    assert wobbly.result is not None
    case = wobbly.result.cases[0].model_copy(
        update={"decode_tokens_per_second": Samples.of([80.0, 100.0, 120.0])}
    )
    result = wobbly.result.model_copy(update={"cases": (case,)})

    assert "differ by more than 5%" in report_of([wobbly.model_copy(update={"result": result})])
    assert "differ by more than" not in report_of(several())


def test_perplexities_of_different_texts_have_no_best() -> None:
    """Only perplexities of one text compare."""
    first, second = measured_job("a"), measured_job("b")
    assert second.result is not None
    assert second.result.cases[0].score is not None
    score = second.result.cases[0].score.model_copy(update={"text_sha256": "ef" * 32})
    case = second.result.cases[0].model_copy(update={"score": score})
    second = second.model_copy(
        update={"result": second.result.model_copy(update={"cases": (case,)})}
    )

    assert "most accurate" in report_of([first])
    assert "most accurate" not in report_of([first, second])
    assert "Perplexities are of different texts" in report_of([first, second])


def with_firmware(view: JobView, git_hash: str) -> JobView:
    assert view.result is not None
    identity = view.result.identity.model_copy(update={"firmware_git_hash": git_hash})
    return view.model_copy(update={"result": view.result.model_copy(update={"identity": identity})})


def test_firmware_is_named_where_it_differs() -> None:
    """Two builds are told apart in the best of, in plots and in the table; one is not named."""
    old, new = "a" * 12, "b" * 12
    html = report_of(
        [with_firmware(measured_job("j1"), old), with_firmware(measured_job("j2"), new)]
    )
    page = Elements(html)

    assert any(f"firmware:{old[:8]} firmware:{new[:8]}" in text for text in page.text("p"))
    assert {old[:8], new[:8]} <= set(page.text("td"))
    assert any(f"firmware {old[:8]}" in text for text in page.text("a"))
    assert f"Q8_0 {new[:8]}" in html
    assert old[:8] not in Elements(report_of([with_firmware(measured_job("j"), old)])).text("td")


def test_quality_is_that_of_the_model_and_no_row() -> None:
    """A sweep scores a model by a job of its own: its perplexity stands in the rows of speed."""
    scored = scoring_job("scored")
    timed = finished_job("timed")
    page = Elements(report_of([scored, timed]))

    assert "1 job" in page.text("p")[0]
    assert any("perplexity 41.73" in text for text in page.text("span"))
    assert not any("perplexity 4" in text for text in Elements(report_of([timed])).text("span"))


def test_words_from_outside_are_text() -> None:
    """A heading, a user and a board that look like HTML are shown as they are."""
    evil = "<script>alert(1)</script>"
    view = measured_job("j", user=evil)
    assert view.result is not None
    identity = view.result.identity.model_copy(update={"device_id": evil, "toolchain": evil})
    view = view.model_copy(update={"result": view.result.model_copy(update={"identity": identity})})
    html = report_of([view], title=evil)

    assert evil not in html
    assert html.count("<script>") == 1
    assert evil in Elements(html).text("h1")


def test_plots_take_their_colours_from_the_page() -> None:
    """No colour is fixed in a plot, so that one file serves light, dark and paper; and the same
    jobs make the same file."""
    html = report_of(several())
    plots = re.findall("<svg.*?</svg>", html, re.DOTALL)

    assert len(plots) == 4  # perplexity, memory and latency; of the single job, latency
    assert not any(re.search("#[0-9a-f]{6}", plot) for plot in plots)
    assert all("var(--ink)" in plot for plot in plots)
    assert html == report_of(several())


def test_ids_are_unique() -> None:
    """No id stands twice in a file: plots are clipped, and rows are linked to, by ids."""
    found = [a.get("id") for _, a in Elements(report_of(several())).found]
    ids = [name for name in found if name]
    assert sorted(ids) == sorted(set(ids))


def test_the_command_writes_what_was_selected(archive: Any, tmp_path: Any) -> None:
    """Jobs of all words once each, narrowed by the options; those without a result are counted."""
    failed = finished_job("bad", state=JobState.FAILED, sweep_id="night-1")
    good = [view.model_copy(update={"sweep_id": "night-1"}) for view in several()]
    archive.save([*good, failed])
    out = tmp_path / "r.html"

    done = CliRunner().invoke(
        app, ["report", "night-1", "emu1", "--platform", "esp32s3", "-o", str(out)]
    )

    assert done.exit_code == 0, done.output
    html = out.read_text()
    assert [f'id="job-chip{kind}"' in html for kind in ("F32", "Q8_0", "Q4_0")] == [True] * 3
    assert 'id="job-emu1"' not in html
    assert "1 more job of this selection ended without a result" in html
    assert "from sweep night-1, job emu1, only platform esp32s3" in html


@pytest.mark.parametrize("words", [["nothing-1"], ["emu1", "--platform", "esp32s3"]])
def test_an_empty_selection_writes_nothing(archive: Any, tmp_path: Any, words: list[str]) -> None:
    """It is an error of the call, and a report that was there stays."""
    archive.save(several())
    out = tmp_path / "r.html"
    out.write_text("the last report")

    done = CliRunner().invoke(app, ["report", *words, "-o", str(out)])

    assert done.exit_code != 0
    assert words[0] in str(done.exception)
    assert out.read_text() == "the last report"
