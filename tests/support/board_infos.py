"""What boards announce of themselves, made by hand."""

from __future__ import annotations

from edgeprof.shared.types.board import BoardInfo, BoardState, MemoryRegion
from edgeprof.shared.types.model import Quantization


def null_board(name: str = "b") -> BoardInfo:
    return BoardInfo(
        device_id=name,
        platform="null",
        host="h",
        url="x://",
        uid=name,
        state=BoardState.ONLINE,
        emulated=True,
        firmware_version="1",
        firmware_git_hash="1",
        toolchain="none",
        protocol=(1, 0),
        clock_hz=1,
        timer_name="t",
        timer_resolution_ns=1,
        regions=(),
        kernels=(),
        n_ctx_max=1,
        can_flash=False,
        can_upload=True,
    )


def board_with_ram(name: str, uid: str, platform: str, ram_bytes: int) -> BoardInfo:
    region = MemoryRegion(name="sram", kind="ram", total_bytes=ram_bytes, available_bytes=ram_bytes)
    return null_board(name).model_copy(
        update={
            "platform": platform,
            "uid": uid,
            "regions": (region,),
            "kernels": (Quantization.F32, Quantization.Q8_0),
            "n_ctx_max": 4096,
        }
    )


def numbered_board(
    number: int = 1, *, platform: str = "native", url: str = "/dev/ttyA"
) -> BoardInfo:
    return null_board(f"{platform}-{number}").model_copy(
        update={
            "platform": platform,
            "url": url,
            "uid": f"{number:04x}",
            "firmware_git_hash": "0",
            "toolchain": "gcc",
            "clock_hz": None,
            "kernels": (Quantization.F32,),
        }
    )
