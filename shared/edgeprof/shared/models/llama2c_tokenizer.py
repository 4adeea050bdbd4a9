"""llama2.c's tokenizer.bin: the kinds of its pieces are read from the file, not assumed.

Karpathy's vocabularies have <unk>, <s>, </s> and then 256 bytes. Those of characters have no bytes,
and some have no special tokens: run.c would still take ids 3 to 258 for bytes, and spell garbage.
"""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path

from gguf import TokenType

from edgeprof.shared.models.llama_writing import TokenTable, read_file, refused
from edgeprof.shared.models.sentence_piece import SPACE
from edgeprof.shared.models.tokenizer import MAX_PIECE

_MAX_BYTES = 4 * MAX_PIECE
_BYTE = re.compile(rb"<0x[0-9A-F]{2}>")
#: "\n<s>\n" in Karpathy's export, "<s>" or "<bos>" in others'.
_SPECIAL = re.compile(rb"\s*(<[^<>\s]+>|\[[A-Za-z]+\])\s*")
_BOS, _EOS = 1, 2


def read_tokenizer(path: Path, vocab: int, checkpoint: Path) -> tuple[TokenTable, tuple[str, ...]]:
    """Return the tokenizer of a checkpoint of `vocab` tokens, and notes on it for the user.

    Raises ModelError when it is not a tokenizer.bin, or of another vocabulary.
    """
    longest, entries = _entries(path)
    if len(entries) != vocab:
        raise refused(
            path,
            f"this tokenizer has {len(entries)} entries, the checkpoint {checkpoint.name} {vocab}",
            code="tokenizer", hint="give the tokenizer that the checkpoint was trained with",
        )  # fmt: skip
    actual = max(len(piece) for _, piece in entries)
    if not actual <= longest <= _MAX_BYTES:
        raise refused(path, f"its longest piece is {actual} bytes, its header says {longest}")
    tokens, types, notes = _typed([piece for _, piece in entries])
    if longest != actual:
        notes += (f"the tokenizer's longest piece is {actual} bytes, its header says {longest}",)
    ids = {"unk": 0} if types[0] == TokenType.UNKNOWN else {}
    ids |= {
        name: token
        for name, token in (("bos", _BOS), ("eos", _EOS))
        if token < vocab and types[token] == TokenType.CONTROL
    }
    table = TokenTable(
        "llama", tokens, [int(t) for t in types], scores=[score for score, _ in entries], ids=ids,
        add_bos="bos" in ids, add_space_prefix=SPACE.encode() in tokens,
    )  # fmt: skip
    return table, notes


def _entries(path: Path) -> tuple[int, list[tuple[float, bytes]]]:
    """Return the longest piece's length from the header, and (score, piece) of each entry."""
    data = read_file(path)
    entries: list[tuple[float, bytes]] = []
    at = 4
    while at < len(data):
        score, n = struct.unpack_from("<fi", data, at) if at + 8 <= len(data) else (0.0, -1)
        piece = data[at + 8 : at + 8 + max(n, 0)]
        if not 0 <= n <= _MAX_BYTES or len(piece) < n or not math.isfinite(score):
            raise refused(
                path,
                f"not a llama2.c tokenizer: entry {len(entries)}, byte {at} of {len(data)},"
                " is broken",
                hint="it is what llama2.c's tokenizer.py writes: tokenizer.bin, tok512.bin",
            )  # fmt: skip
        entries.append((score, piece))
        at += 8 + n
    if not entries:
        raise refused(path, "not a llama2.c tokenizer: it has no entries")
    return int.from_bytes(data[:4], "little", signed=True), entries


def _typed(pieces: list[bytes]) -> tuple[list[bytes], list[TokenType], tuple[str, ...]]:
    tokens: list[bytes] = []
    types: list[TokenType] = []
    for i, piece in enumerate(pieces):
        special = _SPECIAL.fullmatch(piece) if i <= _EOS else None
        if _BYTE.fullmatch(piece):
            tokens.append(piece)
            types.append(TokenType.BYTE)
        elif special is not None:
            tokens.append(special.group(1))
            unknown = special.group(1) == b"<unk>"
            types.append(TokenType.UNKNOWN if unknown else TokenType.CONTROL)
        else:
            tokens.append(piece.replace(b" ", SPACE.encode()))
            types.append(TokenType.NORMAL)
    notes: list[str] = []
    n_bytes = types.count(TokenType.BYTE)
    if n_bytes < 256:
        notes.append(
            f"the vocabulary has {n_bytes} of 256 byte tokens: text outside it cannot be spelled"
        )
    if SPACE.encode() not in tokens:
        notes.append("the vocabulary has no space, so none is put before a text")
    if len(types) <= _BOS or types[_BOS] != TokenType.CONTROL:
        notes.append("token 1 is no special token, so none is put before a text")
    return tokens, types, tuple(notes)
