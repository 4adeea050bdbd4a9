"""The API keeps what its OpenAPI document promises, and has what the commands have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import settings as hypothesis_settings

from edgeprof.client.llama_bench import FIELDS
from edgeprof.scheduler.site.api import openapi_document
from tests.site.conftest import fill
from tests.support.lab_settings import make_settings
from tests.support.redis_process import RedisProcess
from tests.support.served_site import ServedSite, serve_site

api = schemathesis.openapi.from_dict(openapi_document())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedSite]:
    """A lab that all examples of this module read; none can change it."""
    redis = RedisProcess(tmp_path_factory.mktemp("redis"))
    redis.start()
    with serve_site(make_settings(tmp_path_factory.mktemp("lab"), redis.url)) as site:
        fill(site)
        yield site
    redis.stop()


@api.parametrize()
@hypothesis_settings(max_examples=20)
def test_answers_are_as_documented(case: Any, served: ServedSite) -> None:
    """Right and wrong queries, names and methods get the status and the JSON that the document
    says."""
    case.call_and_validate(base_url=served.url)


def test_rows_are_those_of_the_command(served: ServedSite) -> None:
    """Results have llama-bench's rows with every field of `edgeprof results --json`."""
    served.ask("/api/v1/results?platform=esp32s3&quantization=Q8_0")

    rows = json.loads(served.text)
    assert [row["test"] for row in rows] == ["pp64", "tg32"]
    assert tuple(rows[0]) == FIELDS


def test_filters_narrow(served: ServedSite) -> None:
    """Each filter leaves what it names, and several tags must all be there."""
    for query, jobs in {
        "": 4, "?platform=stm32f405": 1, "?quantization=F32": 1, "?model=tiny": 4, "?model=big": 0,
        "?sweep=night-1": 4, "?board=esp32s3-1": 3, "?user=ada": 4, "?tag=shelf%3D2": 4,
        "?tag=shelf%3D2&tag=a%3Db": 0, "?firmware=abc": 4, "?firmware=abd": 0, "?limit=2": 2,
    }.items():  # fmt: skip
        served.ask(f"/api/v1/results{query}")
        assert len({row["job_id"] for row in json.loads(served.text)}) == jobs, query
    served.ask("/api/v1/jobs?user=ada&state=queued&limit=1")
    (newest,) = json.loads(served.text)
    assert newest["state"] == "queued"


@pytest.mark.parametrize(
    ("query", "name"),
    [("sate=queued", "sate"), ("state=done", "state"), ("limit=0", "limit"),
     ("limit=1&limit=2", "limit"), ("limit=", "limit"), ("board=..", "board")],
)  # fmt: skip
def test_a_wrong_query_is_told(served: ServedSite, query: str, name: str) -> None:
    """An unknown name or value is refused, never ignored, with what there is."""
    assert served.status(f"/api/v1/jobs?{query}") == 400
    told = json.loads(served.text)
    assert told["error"].startswith(f"{name}: ")
    assert "limit" in told["hint"]


def test_the_document_is_served(served: ServedSite) -> None:
    """The document is at a path of its own, and is the one that was tested."""
    assert served.status("/api/v1/openapi.json") == 200
    assert json.loads(served.text) == openapi_document()
