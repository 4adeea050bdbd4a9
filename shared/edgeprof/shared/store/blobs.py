"""Model files by SHA-256: into Redis once at submit, out of it once per host."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from redis import Redis

from edgeprof.shared import private_files
from edgeprof.shared.errors import HostFault, JobError, StoreRefused, UsageError
from edgeprof.shared.store.script import Script
from edgeprof.shared.types.model import ModelRef


def sha256_of(path: Path) -> str:
    """Hash a file without reading it into memory as a whole."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_COMPARE_EVERY_S: Final = 60.0

#: Whether the value of a key has this length and this SHA-1.
_HOLDS: Final = """
local found = redis.pcall('STRLEN', KEYS[1])
if found ~= tonumber(ARGV[1]) then return 0 end
return redis.sha1hex(redis.call('GET', KEYS[1])) == ARGV[2] and 1 or 0
"""


class BlobStore:
    """Content-addressed files in Redis, with a time to live that every use refreshes."""

    def __init__(self, script: Script, limit_bytes: int) -> None:
        self._script = script
        self._limit_bytes = limit_bytes
        self._compared_s: dict[str, float] = {}

    def put(self, name: str, content: bytes, sha256: str, keep_s: float) -> bool:
        """Upload a file, to stay for at least keep_s. Returns False when it was already there.

        Anybody may have overwritten the file, so its length is checked each time. Its hash is
        checked at most once a minute, inside Redis, which serves nobody else meanwhile.
        """
        if len(content) > self._limit_bytes:
            raise UsageError(
                f"{name} has {len(content):,} bytes, more than the {self._limit_bytes:,}"
                " that travel through Redis",
                hint="raise EDGEPROF_BLOB_LIMIT_BYTES here and give Redis the memory",
            )
        key = self._key(sha256)

        def upload(redis: Redis) -> bool:
            if self._is_there(redis, sha256, content, keep_s):
                return False
            redis.set(key, content, ex=int(keep_s))
            return True

        return self._script.guarded_patiently(upload)

    def compared_of_late(self, sha256: str) -> bool:
        """Whether put() has compared the file of late, so that its length is proof enough."""
        last_s = self._compared_s.get(self._key(sha256), -_COMPARE_EVERY_S)
        return time.monotonic() < last_s + _COMPARE_EVERY_S

    def _is_there(self, redis: Redis, sha256: str, content: bytes, keep_s: float) -> bool:
        """Whether the bytes are in Redis, to stay at least keep_s from now."""
        key = self._key(sha256)
        pipe = redis.pipeline(transaction=False)
        # GT: another job may need it for longer.
        pipe.expire(key, int(keep_s), gt=True)
        if self.compared_of_late(sha256):
            pipe.strlen(key)
            there: object = len(content)
        else:
            sha1 = hashlib.sha1(content).hexdigest()  # noqa: S324 - Redis has no other
            pipe.eval(_HOLDS, 1, key, len(content), sha1)
            self._compared_s[key] = time.monotonic()
            there = 1
        _, found = pipe.execute(raise_on_error=False)  # a key of another type has no length
        return bool(found == there)

    def size(self, sha256: str) -> int:
        """Return how many bytes are there; 0 when nobody uploaded them, or their time ran out."""
        return int(self._script.guarded(lambda redis: redis.strlen(self._key(sha256))))

    def get(self, sha256: str) -> bytes | None:
        """Return the bytes, or None when nobody uploaded them or their time ran out."""
        content = self._script.guarded_patiently(lambda redis: redis.get(self._key(sha256)))
        assert content is None or isinstance(content, bytes)  # the client does not decode
        return content

    def keep(self, sha256: str, keep_s: float) -> bool:
        """Keep a file that is there at least keep_s from now; False: it is not there any more."""
        key = self._key(sha256)

        def extend(redis: Redis) -> bool:
            # GT: another job may need it for longer.
            redis.expire(key, int(keep_s), gt=True)
            return bool(redis.exists(key))

        return self._script.guarded(extend)

    def _key(self, sha256: str) -> str:
        return self._script.key(f"blob:{sha256}")


class ModelCache:
    """Model files on this host, shared by all its board workers."""

    def __init__(self, folder: Path, blobs: BlobStore) -> None:
        self._folder = folder / "models"
        self._blobs = blobs

    def fetch(self, model: ModelRef) -> Path:
        """Return a local file with exactly the model's bytes.

        Raises HostFault when this machine cannot keep it, and JobError when the store does not have
        it: then no other host would find it either. The hash is computed again at every use: a
        rotten cache would make wrong measurements.
        """
        # The second path is used when the first file is damaged and cannot be replaced.
        paths = [self._folder / f"{model.sha256}{end}" for end in (".gguf", ".again.gguf")]
        for path in paths:
            with contextlib.suppress(OSError):
                if sha256_of(path) == model.sha256:
                    return path
        # A value of another size than the job says is not read.
        try:
            there = self._blobs.size(model.sha256)
            content = self._blobs.get(model.sha256) if there in {0, model.size_bytes} else b""
        except StoreRefused:  # a key of another type
            content = b""
        if content is None:
            raise JobError(
                f"the file of model {model.name} ({model.sha256[:12]}) is not in the store",
                code="blob_missing",
                hint="submit the job again; the file travels with it",
            )
        if hashlib.sha256(content).hexdigest() != model.sha256:
            raise JobError(
                f"the file of model {model.name} in the store is not the one the job means",
                code="blob_damaged",
                hint="submit the job again; the file travels with it",
            )
        return self._kept(model, paths, content)

    def _kept(self, model: ModelRef, paths: Sequence[Path], content: bytes) -> Path:
        refused = OSError()
        for path in paths:
            try:
                private_files.write_whole(path, content)  # two workers may fetch the same file
            except OSError as error:
                refused = error
            else:
                return path
        raise HostFault(
            f"cannot keep model {model.name} in {self._folder}: {refused.strerror}",
            code="cache_write",
            hint="free space there, or set EDGEPROF_CACHE_DIR",
        ) from refused
