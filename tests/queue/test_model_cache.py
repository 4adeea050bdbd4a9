"""A model file on its way through Redis into a host's cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeprof.shared.errors import JobError, UsageError
from edgeprof.shared.store.blobs import ModelCache
from edgeprof.shared.store.lab import LabStore
from tests.support.jobs import ref_of


def test_model_travels_once_and_is_checked_at_each_use(store: LabStore, tmp_path: Path) -> None:
    """Fetched from the store, kept on the host, fetched again when the copy has rotted."""
    content = os.urandom(5000)
    model = ref_of(content)
    cache = ModelCache(tmp_path / "cache", store.blobs)

    assert store.blobs.put("m", content, model.sha256, 60)
    assert not store.blobs.put("m", content, model.sha256, 60)
    path = cache.fetch(model)
    assert path.read_bytes() == content
    path.write_bytes(b"rotten")

    assert cache.fetch(model).read_bytes() == content


def test_missing_and_damaged_models_are_job_faults(store: LabStore, tmp_path: Path) -> None:
    """A model that is missing or damaged in the store fails its job without another try, and
    cordons no host."""
    cache, model = ModelCache(tmp_path, store.blobs), ref_of(b"right")
    with pytest.raises(JobError) as missing:
        cache.fetch(model)
    store.script.redis.set(f"edgeprof:blob:{model.sha256}", b"wrong")
    with pytest.raises(JobError) as damaged:
        cache.fetch(model)

    assert (missing.value.code, damaged.value.code) == ("blob_missing", "blob_damaged")


def test_model_over_the_limit_is_refused_at_submit(store: LabStore) -> None:
    """The limit, the size and the setting are in the message."""
    with pytest.raises(UsageError, match="68,157,440") as caught:
        store.blobs.put("big", bytes(65 * 1024 * 1024), "0" * 64, 60)

    assert "EDGEPROF_BLOB_LIMIT_BYTES" in str(caught.value.hint)
