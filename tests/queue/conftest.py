"""A lab of null boards: real Redis, real Celery workers in real processes, an imaginary chip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.job import JobSpec
from edgeprof.shared.types.result import JobResult
from tests.support.embedded_redis import Embedded
from tests.support.jobs import make_spec


@pytest.fixture
def embedded(settings: Settings, wait_until: Callable[..., None]) -> Iterator[Embedded]:
    """Settings without a URL; whatever they start is killed."""
    made = Embedded(settings.model_copy(update={"redis_url": None}), wait_until)
    yield made
    if made.folder.exists():
        redis_server.stop(made.settings, force=True)


@pytest.fixture(name="make_spec", scope="session")
def make_spec_fixture() -> Callable[..., JobSpec]:
    return make_spec


@pytest.fixture
def result() -> Any:
    """A result for stores, which do not look inside."""
    return cast(Any, JobResult).model_construct(cases=())
