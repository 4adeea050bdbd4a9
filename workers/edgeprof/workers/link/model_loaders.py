"""The ways to bring a model onto a board: over the link into RAM, or as a slot into its flash.

Both stand behind ModelLoader. How a slot gets into flash (a flash tool, an emulator that starts
again) is the business of a SlotPlacer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from edgeprof.shared.errors import BoardFault
from edgeprof.workers.board import flash
from edgeprof.workers.board.protocols import Cancelled
from edgeprof.workers.board.unverified_slots import UnverifiedSlots
from edgeprof.workers.link.connection import Connection
from edgeprof.workers.link.messages.model import UploadRequest, VerifyRequest
from edgeprof.workers.link.messages.wire_types import malformed
from edgeprof.workers.link.upload import upload

#: Called with the bytes that are there and all bytes.
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model file of this host, checked to have the hash."""

    path: Path
    sha256: str
    size_bytes: int


class ModelLoader(Protocol):
    """A way to bring a model onto a board."""

    @property
    def how(self) -> Literal["ram", "flash"]:
        """Where the model ends up."""
        ...

    @property
    def transfers(self) -> bool:
        """Whether the model goes over the link, so that its time is a transfer's."""
        ...

    def has_room(self, size_bytes: int) -> bool:
        """Whether a model of this size can be brought onto the board this way."""
        ...

    def bring(self, model: StoredModel, epoch: int, on_progress: OnProgress, /) -> None:
        """Bring the model onto the board, ready for LOAD. Raises a Fault, or Cancelled."""
        ...


class UploadLoader:
    """Sends the model over the link into RAM."""

    how: Literal["ram"] = "ram"
    transfers = True

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def has_room(self, size_bytes: int) -> bool:
        """Whether one RAM region of a board that takes uploads could hold the model."""
        hello = self._connection.hello
        room = max((r.available_bytes for r in hello.regions if r.kind == "ram"), default=0)
        return hello.can_upload and size_bytes <= room

    def bring(self, model: StoredModel, epoch: int, on_progress: OnProgress, /) -> None:
        """Upload from where an earlier try stopped, and have the board check the hash."""
        data, digest = model.path.read_bytes(), bytes.fromhex(model.sha256)
        connection = self._connection
        client = connection.client
        request = UploadRequest(sha256=digest, size_bytes=len(data), epoch=epoch)
        start = client.request(request).next_offset
        if start > len(data):
            raise malformed("upload-reply.next_offset", f"is beyond the model: {start}")
        window = connection.rx_window_bytes
        if not upload(client, data, start, window, on_progress, connection.job_stops):
            raise Cancelled
        client.request(VerifyRequest(sha256=digest))


class SlotLoader:
    """Has a slot with the model put into the board's flash, and meets the board again."""

    how: Literal["flash"] = "flash"
    transfers = False

    def __init__(self, connection: Connection, placer: flash.SlotPlacer, slot_dir: Path) -> None:
        self._connection = connection
        self._placer = placer
        self._slot_dir = slot_dir

    def has_room(self, size_bytes: int) -> bool:
        """Whether the board has flash for models, and enough of it."""
        regions = self._connection.hello.regions
        return any(r.kind == "flash" and r.available_bytes >= size_bytes for r in regions)

    def bring(self, model: StoredModel, _epoch: int, _on_progress: OnProgress, /) -> None:
        """Write the slot, give the port away while it is placed, and find the model in HELLO."""
        slot = flash.write_slot(model.path, model.sha256, self._slot_dir)
        connection = self._connection
        in_vain = UnverifiedSlots(self._slot_dir, connection.hello.uid, model.sha256)
        in_vain.check(connection.url)
        connection.close()
        url = self._placer.place(slot, connection.check_stop)
        connection.open_again(url)
        connection.connect()
        if connection.hello.flash_model_sha256 != model.sha256:
            in_vain.unverified()
            raise BoardFault(
                f"{connection.url}: the model ({model.size_bytes} bytes) was put into flash, but"
                " the board does not find it there",
                code="flash_verify",
            )
        in_vain.verified()
