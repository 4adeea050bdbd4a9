"""tokenizer.model: a SentencePiece model, read by its protocol buffer.

The messages are declared here with the few fields that matter. The sentencepiece package would
bring a C++ library for the same numbers; protobuf is there already, OpenTelemetry needs it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from gguf import TokenType
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from edgeprof.shared.models.hugging_face.config import read_json
from edgeprof.shared.models.hugging_face.pieces import MAX_VOCAB, added_piece
from edgeprof.shared.models.llama_writing import TokenTable, read_file, refused

_Field = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "string": _Field.TYPE_STRING, "bytes": _Field.TYPE_BYTES, "float": _Field.TYPE_FLOAT,
    "int": _Field.TYPE_INT32, "bool": _Field.TYPE_BOOL,
}  # fmt: skip
#: From sentencepiece_model.proto: message -> (field, number, kind or message, default).
_MESSAGES: dict[str, list[tuple[str, int, str, str]]] = {
    "Piece": [("piece", 1, "string", ""), ("score", 2, "float", "0"), ("type", 3, "int", "1")],
    "Trainer": [
        ("model_type", 3, "int", "1"), ("unk_id", 40, "int", "0"), ("bos_id", 41, "int", "1"),
        ("eos_id", 42, "int", "2"),
    ],
    "Normalizer": [
        ("name", 1, "string", ""), ("precompiled_charsmap", 2, "bytes", ""),
        ("add_dummy_prefix", 3, "bool", "true"), ("remove_extra_whitespaces", 4, "bool", "true"),
    ],
    "Model": [
        ("pieces", 1, "Piece", ""), ("trainer", 2, "Trainer", ""),
        ("normalizer", 3, "Normalizer", ""),
    ],
}  # fmt: skip
_BPE = 2
_TYPES = {t.value for t in TokenType}


def read_tokenizer_model(path: Path) -> tuple[TokenTable, tuple[str, ...]]:
    """Return the tokens, and notes on them for the user. Raises ModelError."""
    model = _parsed(read_file(path))
    if model is None:
        raise refused(path, "not a SentencePiece model")
    pieces = list(model.pieces)
    if model.trainer.model_type != _BPE:
        raise refused(
            path, "this SentencePiece model is not of type BPE: its splitting is another",
            code="tokenizer", hint="only BPE models are supported, as Llama's is",
        )  # fmt: skip
    types = [piece.type if piece.type in _TYPES else int(TokenType.NORMAL) for piece in pieces]
    ids = {
        name: getattr(model.trainer, f"{name}_id")
        for name in ("unk", "bos", "eos")
        if 0 <= getattr(model.trainer, f"{name}_id") < len(pieces)
    }
    notes: list[str] = []
    if model.normalizer.precompiled_charsmap:
        notes.append(
            f"text is not normalised ({model.normalizer.name}) as this tokenizer was trained with"
        )
    if model.normalizer.remove_extra_whitespaces:
        notes.append("runs of spaces in a text are kept; this tokenizer was trained without them")
    table = TokenTable(
        "llama", [piece.piece.encode() for piece in pieces], types,
        scores=[piece.score for piece in pieces], ids=ids, add_bos=True,
        add_space_prefix=model.normalizer.add_dummy_prefix,
    )  # fmt: skip
    return table, tuple(notes)


def is_tokenizer_model(path: Path) -> bool:
    """Whether a file is a SentencePiece model at all."""
    return _parsed(read_file(path)) is not None


def with_added(table: TokenTable, folder: Path) -> TokenTable:
    """Return the table with the tokens that were added to the SentencePiece model later."""
    config, extra = folder / "tokenizer_config.json", folder / "added_tokens.json"
    added: dict[int, tuple[str, bool]] = {}
    try:
        if extra.is_file():
            added |= {int(token): (str(text), False) for text, token in read_json(extra).items()}
        if config.is_file():
            for token, entry in (read_json(config).get("added_tokens_decoder") or {}).items():
                added[int(token)] = (str(entry["content"]), bool(entry.get("special")))
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise refused(
            folder, f"its added tokens make no sense ({type(error).__name__}: {error})"
        ) from None
    tokens, types, scores = list(table.tokens), list(table.types), list(table.scores)
    for token, (text, special) in sorted(added.items()):
        known = token < len(tokens) and tokens[token] == text.encode()
        if not 0 <= token < MAX_VOCAB or (known and types[token] != TokenType.NORMAL):
            continue
        for i in range(len(tokens), token + 1):
            tokens.append(f"[PAD{i}]".encode())
            types.append(int(TokenType.UNUSED))
            scores.append(-10000.0)
        piece, types[token] = added_piece(text, special=special)
        tokens[token], scores[token] = piece.encode(), -1000.0
    return replace(table, tokens=tokens, types=types, scores=scores)


def _parsed(data: bytes) -> Any:
    model = _message()()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return None
    return model if model.pieces else None


@cache
def _message() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="tlep_sentencepiece.proto", package="tlep")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, default in fields:
            made = message.field.add(name=field, number=number)
            made.label = _Field.LABEL_REPEATED if field == "pieces" else _Field.LABEL_OPTIONAL
            if kind in _KINDS:
                made.type = _KINDS[kind]
                made.default_value = default
            else:
                made.type = _Field.TYPE_MESSAGE
                made.type_name = f".tlep.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tlep.Model"))
