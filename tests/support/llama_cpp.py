"""llama.cpp as a judge: the library inside the package xllamacpp, called by its C functions.

The package's own door is a server, whose timings have a queue and a sampler in them. No layout of a
structure is assumed but that of llama_batch, and that n_ctx comes first in llama_context_params:
the others are passed on as llama.cpp fills them.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt


class _Opaque(ctypes.Structure):
    """Parameters: more room than any version of them takes."""

    _fields_ = (("words", ctypes.c_uint32 * 512),)


class _Batch(ctypes.Structure):
    _fields_ = (("n_tokens", ctypes.c_int32), ("arrays", ctypes.c_void_p * 6))


_HANDLE, _INT = ctypes.c_void_p, ctypes.c_int
_LOG = ctypes.CFUNCTYPE(None, _INT, ctypes.c_char_p, ctypes.c_void_p)
_FUNCTIONS = {
    "llama_backend_init": (None, []),
    "llama_log_set": (None, [_LOG, ctypes.c_void_p]),
    "llama_model_default_params": (_Opaque, []),
    "llama_model_load_from_file": (_HANDLE, [ctypes.c_char_p, _Opaque]),
    "llama_context_default_params": (_Opaque, []),
    "llama_init_from_model": (_HANDLE, [_HANDLE, _Opaque]),
    "llama_set_n_threads": (None, [_HANDLE, _INT, _INT]),
    "llama_batch_get_one": (_Batch, [ctypes.POINTER(ctypes.c_int32), ctypes.c_int32]),
    "llama_decode": (_INT, [_HANDLE, _Batch]),
    "llama_get_logits_ith": (ctypes.POINTER(ctypes.c_float), [_HANDLE, _INT]),
    "llama_get_memory": (_HANDLE, [_HANDLE]),
    "llama_memory_clear": (None, [_HANDLE, ctypes.c_bool]),
    "llama_free": (None, [_HANDLE]),
    "llama_model_free": (None, [_HANDLE]),
}
_quiet = _LOG(lambda _level, _text, _data: None)


@cache
def _library() -> ctypes.CDLL:
    # Not imported: its module is Cython's, and does not bear another Cython's in one process.
    package = find_spec("xllamacpp")
    assert package is not None
    assert package.submodule_search_locations is not None
    (file,) = Path(package.submodule_search_locations[0]).glob("xllamacpp*.so")
    library = ctypes.CDLL(str(file))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.llama_log_set(_quiet, None)
    library.llama_backend_init()
    return library


class LlamaCpp:
    """A model in llama.cpp, one thread, KV cache in F16."""

    def __init__(self, context: int, n_vocab: int) -> None:
        self._context, self._n_vocab = context, n_vocab
        self._token = (ctypes.c_int32 * 1)()

    def forget(self) -> None:
        """Start a new sequence."""
        _library().llama_memory_clear(_library().llama_get_memory(self._context), True)

    def step(self, token: int) -> npt.NDArray[np.float32]:
        """Logits after the next token. They are llama.cpp's own memory, until the next call."""
        self._token[0] = token
        if _library().llama_decode(self._context, _library().llama_batch_get_one(self._token, 1)):
            raise RuntimeError("llama_decode refused a token")
        logits = _library().llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(logits, (self._n_vocab,))

    def greedy(self, prompt: Iterable[int], n_gen: int) -> Iterator[int]:
        """The ids that follow a prompt, of a new sequence."""
        self.forget()
        for token in prompt:
            logits = self.step(token)
        for _ in range(n_gen):
            chosen = int(logits.argmax())
            yield chosen
            logits = self.step(chosen)

    def scores(self, tokens: list[int]) -> list[float]:
        """Log-likelihoods, in nats, of tokens 1..n-1, of a new sequence."""
        self.forget()
        found = []
        for token, following in itertools.pairwise(tokens):
            logits = self.step(token).astype(np.float64)
            logits -= logits.max()
            found.append(float(logits[following] - np.log(np.exp(logits).sum())))
        return found


@contextmanager
def llama_cpp(model: Path, n_ctx: int, n_vocab: int) -> Iterator[LlamaCpp]:
    """Load a model."""
    library = _library()
    handle = library.llama_model_load_from_file(
        str(model).encode(), library.llama_model_default_params()
    )
    if not handle:
        raise RuntimeError(f"llama.cpp refuses {model.name}")
    parameters = library.llama_context_default_params()
    parameters.words[0] = n_ctx
    context = library.llama_init_from_model(handle, parameters)
    library.llama_set_n_threads(context, 1, 1)
    try:
        yield LlamaCpp(context, n_vocab)
    finally:
        library.llama_free(context)
        library.llama_model_free(handle)
