"""Boards whose port is shared over TCP, by ser2net and by pyserial's own server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeprof.shared.errors import Fault, LinkFault
from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.model import KvType
from edgeprof.shared.types.result import LoadResult, MemoryUse
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board
from tests.support.port_servers import PyserialServer, Ser2net, until_there
from tests.support.pty_board import PtyBoard

#: What a UART at 115200 baud passes on; over a bare TCP connection nobody can make the line faster.
LINE_RATE = {"rfc2217": 115200, "socket": 0}

Server = type[Ser2net] | type[PyserialServer]
Share = Callable[[Server, str], tuple[str, Ser2net | PyserialServer]]

SERVERS = pytest.mark.parametrize("server", [Ser2net, PyserialServer])
SCHEMES = pytest.mark.parametrize("scheme", ["rfc2217", "socket"])


@pytest.fixture
def shared(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Share]:
    """`shared(server, scheme)`: the URL of a board behind such a server, and the server."""
    opened: list[PtyBoard | Ser2net | PyserialServer] = []

    def share(server: Server, scheme: str) -> tuple[str, Ser2net | PyserialServer]:
        board = PtyBoard(tmp_path, "00aa", LINE_RATE[scheme]).__enter__()
        opened.append(board)
        port = free_port()
        serving = server(str(board.path), port, tmp_path, telnet=scheme == "rfc2217").__enter__()
        opened.append(serving)
        until_there(port)
        return f"{scheme}://127.0.0.1:{port}", serving

    yield share
    for item in reversed(opened):
        item.__exit__(None, None, None)


def load(
    board: LinkBoard,
    model: ModelFile,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[LoadResult, tuple[MemoryUse, ...]]:
    return board.load(
        model.path, model.sha256, n_ctx=64, kv_type=KvType.F16, epoch=1,
        on_progress=on_progress, should_stop=lambda: False,
    )  # fmt: skip


@SERVERS
@SCHEMES
def test_board_behind_a_server_does_its_work(
    shared: Share,
    options: OpenOptions,
    small_model: ModelFile,
    server: Server,
    scheme: str,
) -> None:
    """HELLO, upload, run and result; and RFC 2217 takes both ends of the line to a faster rate."""
    url, _ = shared(server, scheme)
    board = open_board(url, options)
    try:
        result, _ = load(board, small_model)
        report = board.run(
            (300, 301), 8, epoch=1, on_token=lambda _i, _t: None, should_stop=lambda: False
        )
        assert result.how == "ram"
        assert list(report.tokens) == Reference(small_model).greedy((300, 301), 8, 64, KvType.F16)
        if scheme == "rfc2217":
            assert board.connection.port.baudrate == max(board.hello.bauds)
            assert result.transfer_bytes_per_second is not None
            assert result.transfer_bytes_per_second > 115200 / 10
    finally:
        board.close()


@SERVERS
@SCHEMES
def test_connection_that_is_cut_is_a_link_fault_and_comes_back(
    shared: Share,
    options: OpenOptions,
    small_model: ModelFile,
    server: Server,
    scheme: str,
) -> None:
    """A connection cut in an upload, at any rate, is known at once, and the board is found
    again."""
    url, serving = shared(server, scheme)
    board = open_board(url, options)
    assert board.plugged_in()
    cut: list[int] = []

    def progress(done: int, _total: int) -> None:
        if not cut and done > 20_000:
            cut.append(done)
            serving.cut()

    with pytest.raises(LinkFault) as caught:
        load(board, small_model, progress)
    assert caught.value.code == "port_gone"
    assert url in str(caught.value)
    assert not board.plugged_in()
    board.close()

    until_s = time.monotonic() + 20
    while True:
        try:
            board = open_board(url, options)
            break
        except Fault:
            assert time.monotonic() < until_s
    load(board, small_model)
    board.close()
