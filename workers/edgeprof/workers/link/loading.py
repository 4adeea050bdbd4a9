"""LOAD, and before it whatever brings the model onto the board."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from edgeprof.shared.errors import BoardFault
from edgeprof.shared.types.model import KvType
from edgeprof.shared.types.result import LoadResult, MemoryUse
from edgeprof.workers.link.connection import Connection
from edgeprof.workers.link.messages.model import LoadReply, LoadRequest
from edgeprof.workers.link.model_loaders import (
    ModelLoader,
    OnProgress,
    SlotLoader,
    StoredModel,
    UploadLoader,
)
from edgeprof.workers.link.readings import parse_memory

#: An upload estimated to take longer goes through flash instead, where a board has both ways.
SLOW_UPLOAD_S: Final = 3.0
#: ggml's type ids.
_KV_CODE: Final = {KvType.F32: 0, KvType.F16: 1}


class ModelLoading:
    """Makes models ready to run on one board."""

    def __init__(self, connection: Connection, slot_dir: Path) -> None:
        self._connection = connection
        self._placer = placer = connection.placer
        self._upload = UploadLoader(connection)
        self._slot = None if placer is None else SlotLoader(connection, placer, slot_dir)

    def needs_flash(self, size_bytes: int) -> bool:
        """Whether the model cannot be in RAM, or its upload would take far too long."""
        return self.loader_for(size_bytes).how == "flash"

    def loader_for(self, size_bytes: int) -> ModelLoader:
        """Return the way to bring a model of this size onto the board."""
        if self._slot is None or self._placer is None or not self._slot.has_room(size_bytes):
            return self._upload
        rate = self._placer.upload_bytes_per_s
        slow = rate is not None and size_bytes / rate > SLOW_UPLOAD_S
        return self._slot if slow or not self._upload.has_room(size_bytes) else self._upload

    def load(
        self,
        model: StoredModel,
        *,
        n_ctx: int,
        kv_type: KvType,
        epoch: int,
        on_progress: OnProgress,
    ) -> tuple[LoadResult, tuple[MemoryUse, ...]]:
        """Bring the model onto the board unless it is there, and make it ready to run."""
        how, transfer_s, transfer_bytes = "cached", None, 0
        hello = self._connection.refresh_hello()
        request = LoadRequest(
            sha256=bytes.fromhex(model.sha256),
            n_ctx=n_ctx,
            kv_type=_KV_CODE[kv_type],
            epoch=epoch,
        )
        reply = None
        if model.sha256 in {hello.flash_model_sha256, hello.ram_model_sha256}:
            reply = self._load_held(request)
        if reply is None:
            loader = self.loader_for(model.size_bytes)
            started_s = time.monotonic()
            loader.bring(model, epoch, on_progress)
            how = loader.how
            if loader.transfers:
                transfer_bytes, transfer_s = model.size_bytes, time.monotonic() - started_s
            on_progress(model.size_bytes, model.size_bytes)
            reply = self._connection.client.request(request)
        else:
            on_progress(model.size_bytes, model.size_bytes)
        memory = parse_memory(reply)
        result = LoadResult(
            how=how,
            region=next((use.region for use in memory if use.category == "weights"), ""),
            load_device_s=reply.load_us / 1e6,
            transfer_s=transfer_s,
            transfer_bytes=transfer_bytes,
            transfer_bytes_per_second=transfer_bytes / transfer_s if transfer_s else None,
            n_ctx=n_ctx,
            kv_type=kv_type.value,
        )
        return result, memory

    def _load_held(self, request: LoadRequest) -> LoadReply | None:
        """LOAD what the board has; None when it was never verified.

        The line of an earlier attempt broke before VERIFY got through.
        """
        try:
            return self._connection.client.request(request)
        except BoardFault as fault:
            if fault.code != "no_model":
                raise
            return None
