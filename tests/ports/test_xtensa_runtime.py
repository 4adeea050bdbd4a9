"""What LLVM leaves to a library on Xtensa, run on this host: right to the bit."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RUNTIME = Path(__file__).parents[2] / "firmware" / "ports" / "common" / "xtensa"
N = 400_000

#: Loops over arrays: a call from Python for each operand would take minutes.
LOOPS = """
#include "runtime.h"
#define EACH2(name, type) \\
    void each_##name(const type *a, const type *b, type *to, long n) \\
    { for (long i = 0; i < n; i++) { to[i] = name(a[i], b[i]); } }
#define EACH1(name, from_type) \\
    void each_##name(const from_type *a, float *to, long n) \\
    { for (long i = 0; i < n; i++) { to[i] = name(a[i]); } }
EACH2(__divsf3, float)
EACH2(__muldi3, uint64_t)
EACH2(__udivdi3, uint64_t)
EACH2(__umoddi3, uint64_t)
EACH1(sqrtf, float)
EACH1(__floatundisf, uint64_t)
EACH1(__truncdfsf2, double)
"""

Each = Callable[..., np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The C of firmware/ports/common/xtensa, as a library of this host."""
    folder = tmp_path_factory.mktemp("runtime")
    loops, built = folder / "loops.c", folder / "runtime.so"
    loops.write_text(LOOPS)
    subprocess.run(
        ["cc", "-std=c99", "-O2", "-shared", "-fPIC", "-fno-builtin",
         "-fno-tree-loop-distribute-patterns", "-Wl,-Bsymbolic", f"-I{RUNTIME}", loops,
         *(RUNTIME / f"{name}.c" for name in ("memory", "soft_float", "soft_int")), "-o", built],
        check=True,
    )  # fmt: skip
    return ctypes.CDLL(str(built))


@pytest.fixture
def each(library: ctypes.CDLL) -> Each:
    """`each("sqrtf", numbers)` calls the function for each of them."""

    def call(name: str, *operands: np.ndarray[Any, Any], to: Any = None) -> np.ndarray[Any, Any]:
        result = np.empty(len(operands[0]), to or operands[0].dtype)
        arrays = [np.ascontiguousarray(operand) for operand in operands]
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*arrays, result)]
        getattr(library, f"each_{name}")(*pointers, ctypes.c_long(len(result)))
        return result

    return call


def floats(rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Any bits at all, and numbers about 1; with the special ones and their neighbours."""
    any_bits = rng.integers(0, 2**32, N, dtype=np.uint32)
    about_1 = rng.integers(0x3F000000, 0x40800000, N, dtype=np.uint32)
    edges = np.array([0, 1, 2, 0x7FFFFF, 0x800000, 0x800001, 0x3F7FFFFF, 0x3F800000, 0x3F800001,
                      0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000], dtype=np.uint32)  # fmt: skip
    signed = np.concatenate([edges, edges | 0x80000000])
    return np.concatenate([any_bits, about_1, np.tile(signed, 26)]).view(np.float32)


def wholes(rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Of each length in bits about as many."""
    bits = rng.integers(0, 2**64, N, dtype=np.uint64) | np.uint64(1 << 63)
    return bits >> rng.integers(0, 64, N, dtype=np.uint64)


def same_bits(got: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> bool:
    """Equal bits, except that one NaN is as good as another."""
    nan = np.isnan(got) & np.isnan(wanted)
    return bool(np.all((got.view(np.uint32) == wanted.view(np.uint32)) | nan))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(14)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_division_is_correctly_rounded(each: Each, rng: np.random.Generator) -> None:
    """Of any two floats, subnormal and special ones among them."""
    a = floats(rng)
    b = np.concatenate([rng.permutation(a[:-676]), np.repeat(a[-26:], 26)])
    assert same_bits(each("__divsf3", a, b), a / b)
    close = (a[: N // 2] * np.float32(2**-60)).astype(np.float32)  # quotients about the subnormals
    by = np.float32(2.0**60) + np.abs(b[: N // 2])
    assert same_bits(each("__divsf3", close, by), close / by)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_root_is_correctly_rounded(each: Each, rng: np.random.Generator) -> None:
    """Of any float, and of neighbours of squares, where a wrong rounding would show."""
    a = floats(rng)
    roots = rng.integers(0x3F800000, 0x40000000, N, dtype=np.uint32).view(np.float32)
    squares = np.concatenate([np.nextafter(roots * roots, np.float32(up)) for up in (0, 9)])
    for numbers in (a, squares):
        assert same_bits(each("sqrtf", numbers), np.sqrt(numbers))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_conversions_are_correctly_rounded(each: Each, rng: np.random.Generator) -> None:
    """From integers and doubles, halfway cases among them."""
    n = wholes(rng)
    halfway = (n >> np.uint64(1)) | np.uint64(0x80)
    for numbers in (n, halfway, np.arange(100, dtype=np.uint64)):
        got = each("__floatundisf", numbers, to=np.float32)
        assert same_bits(got, numbers.astype(np.float32))

    any_bits = rng.integers(0, 2**64, N, dtype=np.uint64).view(np.float64)
    scaled = floats(rng).astype(np.float64) * (1 + rng.integers(-4, 5, 2 * N + 676) * 2.0**-26)
    for wide in (any_bits, scaled, scaled * 2.0**-24):
        assert same_bits(each("__truncdfsf2", wide, to=np.float32), wide.astype(np.float32))


def test_long_arithmetic(each: Each, rng: np.random.Generator) -> None:
    """Products, quotients and remainders of 64 bits."""
    a, b = wholes(rng), wholes(rng)
    for name, wanted in (("__muldi3", a * b), ("__udivdi3", a // b), ("__umoddi3", a % b)):
        assert np.array_equal(each(name, a, b), wanted)


def test_memory(library: ctypes.CDLL) -> None:
    """Each alignment and overlap of short stretches does what Python's slices do."""
    start = bytes(range(1, 49))
    for to in range(8):
        for source in range(8):
            for n in (0, 1, 3, 4, 7, 8, 15, 16):
                buffer = ctypes.create_string_buffer(start, 48)
                base = ctypes.addressof(buffer)
                wanted = bytearray(start)
                wanted[to : to + n] = start[source : source + n]
                moved = library.memmove
                moved(ctypes.c_void_p(base + to), ctypes.c_void_p(base + source), n)
                assert buffer.raw == wanted
                library.memcpy(ctypes.c_void_p(base + 24 + to), start[source:], ctypes.c_size_t(n))
                wanted[24 + to : 24 + to + n] = start[source : source + n]
                assert buffer.raw == wanted
                library.memset(ctypes.c_void_p(base + to), 0x1A5, ctypes.c_size_t(n))
                wanted[to : to + n] = b"\xa5" * n
                assert buffer.raw == wanted
    assert library.strlen(b"a board") == 7
    assert library.memcmp(b"abcd", b"abzz", ctypes.c_size_t(2)) == 0
    assert library.memcmp(b"abcd", b"ab\xff", ctypes.c_size_t(3)) < 0
