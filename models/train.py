"""Train the reference models that ship with the project, and write them as GGUF.

    python models/train.py --corpus tinyshakespeare.txt --out models

Two llama-architecture models over one tokenizer trained here, PyTorch on the CPU, seeded:

- shakespeare-240k (F32): its F32 form fits the flash of an STM32F405.
- shakespeare-1m (TQ2_0): trained so that two bits lose nothing. The forward pass of the training
  uses the weights that TQ2_0 stores, with one f16 scale for each 256-block of a row.

PyTorch is not a dependency of the project; install it yourself (pip install torch).
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import torch
import torch.nn.functional as F
from network import CONTEXT, RMS_EPS, ROPE_BASE, Linear, Llama, Shape
from tokenizer_training import VOCAB, encode, train_tokenizer
from torch import Tensor, nn

SEED = 20261123
UNK, BOS, EOS = 0, 1, 2

SHAPES = (
    Shape(
        "shakespeare-240k",
        dim=64,
        hidden=192,
        layers=4,
        heads=8,
        kv_heads=4,
        ternary=False,
        steps=3000,
        learning_rate=4e-3,
        batch=24,
    ),
    Shape(
        "shakespeare-1m",
        dim=256,
        hidden=512,
        layers=2,
        heads=8,
        kv_heads=2,
        ternary=True,
        steps=1800,
        learning_rate=2.5e-3,
        batch=16,
    ),
)


@torch.no_grad()
def held_out_loss(model: Llama, tokens: Tensor) -> float:
    """Return the mean cross-entropy in nats over consecutive windows of the held-out text."""
    windows = tokens[: (len(tokens) - 1) // CONTEXT * CONTEXT + 1]
    x, y = windows[:-1].view(-1, CONTEXT), windows[1:].view(-1, CONTEXT)
    losses = [
        F.cross_entropy(model(a).flatten(0, 1), b.flatten(), reduction="sum").item()
        for a, b in zip(x.split(32), y.split(32), strict=True)
    ]
    return sum(losses) / y.numel()


def train(shape: Shape, training: Tensor, held_out: Tensor) -> Llama:
    """Train with AdamW, warm-up, then cosine to 2 %; returns the best by held-out loss."""
    torch.manual_seed(SEED)
    model = Llama(shape)
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": decay, "weight_decay": 0.0 if shape.ternary else 0.1},
            {"params": rest, "weight_decay": 0.0},
        ],
        lr=shape.learning_rate,
        betas=(0.9, 0.98),
    )
    best, best_state, started = math.inf, model.state_dict(), time.monotonic()
    for step in range(shape.steps):
        progress = step / shape.steps
        rate = min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = shape.learning_rate * rate
        starts = torch.randint(len(training) - CONTEXT - 1, (shape.batch,))
        batch = torch.stack([training[i : i + CONTEXT + 1] for i in starts.tolist()])
        loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 200 == 0 or step + 1 == shape.steps:
            value = held_out_loss(model, held_out)
            print(
                f"{shape.name} step {step + 1}/{shape.steps} train {loss.item():.3f}"
                f" held-out {value:.4f} ppl {math.exp(value):.2f}"
                f" {time.monotonic() - started:.0f} s",
                flush=True,
            )
            if value < best:
                best = value
                best_state = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(best_state)
    return model


def write_gguf(
    model: Llama, path: Path, pieces: list[str], scores: list[float], types: list[int]
) -> None:
    """Write the weights as trained: F32, or TQ2_0 linears with a Q8_0 embedding."""
    s = model.shape
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(s.name)
    writer.add_description(
        "Character of Shakespeare's plays, for profiling microcontrollers; see models/README.md"
    )
    writer.add_license("Apache-2.0")
    writer.add_file_type(
        gguf.LlamaFileType.MOSTLY_TQ2_0 if s.ternary else gguf.LlamaFileType.ALL_F32
    )
    writer.add_vocab_size(VOCAB)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(s.dim)
    writer.add_block_count(s.layers)
    writer.add_feed_forward_length(s.hidden)
    writer.add_head_count(s.heads)
    writer.add_head_count_kv(s.kv_heads)
    writer.add_rope_dimension_count(s.head_dim)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_layer_norm_rms_eps(RMS_EPS)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(pieces)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_unk_token_id(UNK)
    writer.add_add_bos_token(
        False
    )  # training cuts windows anywhere, so the model has never seen BOS
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    linear_type = gguf.GGMLQuantizationType.TQ2_0 if s.ternary else gguf.GGMLQuantizationType.F32
    embedding = model.token_embd.weight.detach().numpy()
    if s.ternary:
        head_type = gguf.GGMLQuantizationType.Q8_0
        halves = embedding.astype(np.float16).astype(np.float32)  # as the committed file's were
        rows = gguf.quants.quantize(halves, head_type)
        writer.add_tensor("token_embd.weight", rows, raw_dtype=head_type)
    else:
        writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output_norm.weight", model.output_norm.weight.detach().numpy())
    for i, block in enumerate(model.blk):
        for name, module in block.named_children():
            data = module.weight.detach().numpy()
            if isinstance(module, Linear):
                stored = module.stored().numpy()
                data = gguf.quants.quantize(stored, linear_type)
                if not np.array_equal(gguf.quants.dequantize(data, linear_type), stored):
                    raise AssertionError(f"{linear_type.name} loses something of blk.{i}.{name}")
                writer.add_tensor(f"blk.{i}.{name}.weight", data, raw_dtype=linear_type)
            else:
                writer.add_tensor(f"blk.{i}.{name}.weight", data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True, help="plain text to train on")
    parser.add_argument("--out", type=Path, required=True, help="folder for the GGUF files")
    parser.add_argument("--only", choices=[s.name for s in SHAPES], help="train one of the models")
    parser.add_argument("--steps", type=int, help="fewer steps, to try the script out")
    parser.add_argument("--threads", type=int, default=2, help="PyTorch threads")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    text = arguments.corpus.read_text(encoding="utf-8")
    split = len(text) * 9 // 10
    pieces, scores, types = train_tokenizer(text[:split])
    training = torch.tensor(encode(text[:split], pieces, scores))
    held_out = torch.tensor(encode(text[split:], pieces, scores))
    print(
        f"{len(pieces)} pieces; {len(training)} training and {len(held_out)} held-out tokens",
        flush=True,
    )
    for full in SHAPES:
        if arguments.only not in {None, full.name}:
            continue
        shape = replace(full, steps=arguments.steps or full.steps)
        model = train(shape, training, held_out)
        n_params = sum(p.numel() for p in model.parameters())
        path = arguments.out / f"{shape.name}-{'TQ2_0' if shape.ternary else 'F32'}.gguf"
        write_gguf(model, path, pieces, scores, types)
        loss = held_out_loss(model, held_out)
        print(
            f"{path}: {n_params} parameters, {path.stat().st_size} bytes,"
            f" held-out perplexity {math.exp(loss):.3f}"
        )


if __name__ == "__main__":
    main()
