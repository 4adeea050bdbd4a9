"""The network of the reference models: a llama in PyTorch, whose linear layers may be ternary."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from tokenizer_training import VOCAB
from torch import Tensor, nn

CONTEXT = 256
RMS_EPS = 1e-5
ROPE_BASE = 10000.0
TQ2_0_BLOCK = 256


@dataclass(frozen=True)
class Shape:
    """A llama's sizes. Every row length is a multiple of the block that its type needs."""

    name: str
    dim: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    ternary: bool
    steps: int
    learning_rate: float
    batch: int

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads


def ternarize(weight: Tensor) -> Tensor:
    """Project onto {-d, 0, +d}: d is the mean |w| of each 256-block, an f16 as in TQ2_0."""
    blocks = weight.detach().reshape(weight.shape[0], -1, TQ2_0_BLOCK)
    scale = blocks.abs().mean(-1, keepdim=True).clamp(min=1e-5).half().float()
    return ((blocks / scale).round().clamp(-1, 1) * scale).reshape(weight.shape)


class Linear(nn.Linear):
    """A linear layer without bias. A ternary one uses its projection (straight-through)."""

    def __init__(self, n_in: int, n_out: int, *, ternary: bool) -> None:
        super().__init__(n_in, n_out, bias=False)
        self.ternary = ternary
        nn.init.normal_(self.weight, std=0.02 if not ternary else n_in**-0.5)

    def stored(self) -> Tensor:
        return ternarize(self.weight) if self.ternary else self.weight.detach()

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if self.ternary:
            weight = weight + (ternarize(weight) - weight).detach()
        return F.linear(x, weight)


class Norm(nn.Module):
    """RMSNorm."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + RMS_EPS) * self.weight


def rope_table(head_dim: int) -> Tensor:
    """Return complex rotations (CONTEXT, head_dim / 2) for adjacent pairs: ggml's NORM order."""
    frequency = ROPE_BASE ** (-torch.arange(0, head_dim, 2) / head_dim)
    angle = torch.outer(torch.arange(CONTEXT).float(), frequency)
    return torch.polar(torch.ones_like(angle), angle)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous())
    return torch.view_as_real(pairs * table[: x.shape[-2]]).flatten(-2)


class Block(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.shape = s
        kv_dim = s.kv_heads * s.head_dim
        self.attn_norm, self.ffn_norm = Norm(s.dim), Norm(s.dim)
        self.attn_q = Linear(s.dim, s.dim, ternary=s.ternary)
        self.attn_k = Linear(s.dim, kv_dim, ternary=s.ternary)
        self.attn_v = Linear(s.dim, kv_dim, ternary=s.ternary)
        self.attn_output = Linear(s.dim, s.dim, ternary=s.ternary)
        self.ffn_gate = Linear(s.dim, s.hidden, ternary=s.ternary)
        self.ffn_up = Linear(s.dim, s.hidden, ternary=s.ternary)
        self.ffn_down = Linear(s.hidden, s.dim, ternary=s.ternary)

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        batch, length, _ = x.shape
        s, normed = self.shape, self.attn_norm(x)

        def split(y: Tensor, heads: int) -> Tensor:
            return y.view(batch, length, heads, s.head_dim).transpose(1, 2)

        q = rotate(split(self.attn_q(normed), s.heads), table)
        k = rotate(split(self.attn_k(normed), s.kv_heads), table)
        v = split(self.attn_v(normed), s.kv_heads)
        k, v = (t.repeat_interleave(s.heads // s.kv_heads, dim=1) for t in (k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_output(mixed.transpose(1, 2).reshape(batch, length, s.dim))
        normed = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(normed)) * self.ffn_up(normed))


class Llama(nn.Module):
    """A llama whose embedding is the output head as well."""

    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.shape = s
        self.token_embd = nn.Embedding(VOCAB, s.dim)
        nn.init.normal_(self.token_embd.weight, std=0.02)
        self.blk = nn.ModuleList(Block(s) for _ in range(s.layers))
        self.output_norm = Norm(s.dim)
        self.register_buffer("table", rope_table(s.head_dim), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token_embd(tokens)
        for block in self.blk:
            x = block(x, self.table)
        return F.linear(self.output_norm(x), self.token_embd.weight)
