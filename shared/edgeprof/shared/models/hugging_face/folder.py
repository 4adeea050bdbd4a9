"""Imports a Hugging Face folder: checks that it is complete, and writes a GGUF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gguf import TokenType

from edgeprof.shared.models.hugging_face.config import Config, read_json
from edgeprof.shared.models.hugging_face.special_tokens import special_tokens
from edgeprof.shared.models.hugging_face.tensors import Weights
from edgeprof.shared.models.hugging_face.tokenizer_json import read_tokenizer_json
from edgeprof.shared.models.hugging_face.tokenizer_model import (
    is_tokenizer_model,
    read_tokenizer_model,
    with_added,
)
from edgeprof.shared.models.llama_writing import Imported, TokenTable, refused, write_llama
from edgeprof.shared.models.source import source_of_import

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_TOKENIZERS = ("tokenizer.model", "tokenizer.json")
#: Vocabularies are padded to a multiple of up to 128.
_MOST_PADDING = 127
_TRAINED_WITH = "give the tokenizer that the model was trained with"
_SAVE = "load it with transformers and write it again: model.save_pretrained(FOLDER)"


def import_folder(folder: Path, tokenizer: Path | None, out: Path, name: str) -> Imported:
    """Convert a folder. Raises ModelError for a missing file, or a model that no board computes."""
    _check_contents(folder, tokenizer)
    config = Config(folder / "config.json")
    tokens, table, notes = _tokenizer(folder, tokenizer)
    table, more = _completed(table, tokens, folder, config)
    weights = Weights(folder, config)
    source = source_of_import(folder, weights.sha256(), weights.type_name)
    model = write_llama(out, name, config.numbers, weights.read, table, source)
    return Imported(model, notes + more)


def _tokenizer(folder: Path, given: Path | None) -> tuple[Path, TokenTable, tuple[str, ...]]:
    """Read the tokenizer. SentencePiece's is preferred: the other kind has no scores."""
    path = folder / "tokenizer.model"
    if given is not None:
        path = given
    elif not path.is_file():
        path = folder / "tokenizer.json"
    elif (folder / "tokenizer.json").is_file() and not is_tokenizer_model(path):
        path = folder / "tokenizer.json"  # Llama 3 calls its table of merges tokenizer.model
    if path.suffix == ".json":
        return path, *read_tokenizer_json(path)
    table, notes = read_tokenizer_model(path)
    return path, with_added(table, path.parent), notes


def _check_contents(folder: Path, tokenizer: Path | None) -> None:
    lacks: list[str] = []
    if not (folder / "config.json").is_file():
        lacks.append("config.json")
    if not any((folder / name).is_file() for name in _WEIGHTS):
        lacks.append("model.safetensors (or its index and shards)")
    if tokenizer is None and not any((folder / name).is_file() for name in _TOKENIZERS):
        lacks.append("tokenizer.json or tokenizer.model")
    if not lacks:
        return
    pickled = sorted(p.name for p in folder.glob("*") if p.suffix in {".bin", ".pt", ".pth"})
    hint = "a folder from Hugging Face is imported: give the one that holds config.json"
    if pickled and "config.json" not in lacks:
        hint = f"{pickled[0]} is a pickle, which is code and is not opened; {_SAVE}"
    elif lacks == ["tokenizer.json or tokenizer.model"]:
        hint = "give it: --tokenizer FILE"
    raise refused(folder, f"the folder lacks {' and '.join(lacks)}", code="missing", hint=hint)


def _completed(
    table: TokenTable, tokens: Path, folder: Path, config: Config
) -> tuple[TokenTable, tuple[str, ...]]:
    """Fill a table up to the model's vocabulary, with its special tokens."""
    n_vocab = config.numbers.n_vocab
    missing = n_vocab - len(table.tokens)
    if missing < 0:
        raise refused(
            tokens, f"this tokenizer has {len(table.tokens)} tokens, the model only {n_vocab}",
            code="tokenizer", hint=_TRAINED_WITH,
        )  # fmt: skip
    generation = folder / "generation_config.json"
    special = special_tokens(
        tokens.parent, config.values, read_json(generation) if generation.is_file() else {}, n_vocab
    )
    _check_related(tokens, len(table.tokens), n_vocab, special.ids)
    padding = [f"[PAD{i}]".encode() for i in range(len(table.tokens), n_vocab)]
    filled = replace(
        table,
        tokens=table.tokens + padding,
        types=table.types + [int(TokenType.UNUSED)] * missing,
        scores=table.scores + [-10000.0] * missing if table.scores else [],
        ids={**table.ids, **special.ids},
        add_bos=table.add_bos if special.add_bos is None else special.add_bos,
        add_eos=table.add_eos if special.add_eos is None else special.add_eos,
    )
    notes = (
        (f"the tokenizer has {len(table.tokens)} tokens, the model {n_vocab}: the rest is unused",)
        if missing
        else ()
    )
    return filled, notes


def _check_related(tokens: Path, n_tokens: int, n_vocab: int, ids: Mapping[str, int]) -> None:
    """Refuse a tokenizer that is shorter than the vocabulary by more than padding explains."""
    if n_vocab - n_tokens > max(_MOST_PADDING, n_vocab // 4):
        raise refused(
            tokens, f"this tokenizer has {n_tokens} tokens, the model {n_vocab}: it is another's",
            code="tokenizer", hint=_TRAINED_WITH,
        )  # fmt: skip
    for name, token in ids.items():
        if token >= n_tokens:
            raise refused(
                tokens,
                f"this tokenizer has {n_tokens} tokens, and the model's {name} is token {token}",
                code="tokenizer", hint=_TRAINED_WITH,
            )  # fmt: skip
