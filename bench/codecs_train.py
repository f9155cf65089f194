#!/usr/bin/python3
"""Inputs for the bench of the tensor codecs: a small GPT over bytes, trained for a short while.

A model of 3.3 million parameters learns the text of this machine's Python library; six checkpoints,
50 steps apart, are written to the directory given: whole ones as PyTorch saves them (model and
AdamW state), and the tensors alone as safetensors in fp32 and bf16.

    bench/codecs_train.py DIR [--first 1250] [--every 50] [--count 6] [--model gpt|cnn-sgd|cnn-adam]

The others are for proof that nothing is made for one model: a convolutional network of 1.3 million
parameters that tells made-up pictures apart, by SGD with momentum or by Adam (0.9, 0.999).
"""
import argparse
import glob
import json
import math
import os
import struct
import sysconfig

import torch
from torch import nn
from torch.nn import functional

WIDTH, LAYERS, HEADS, CONTEXT, BATCH = 256, 4, 4, 64, 8
KINDS = {torch.float32: "F32", torch.bfloat16: "BF16"}


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.before_attention = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.attended = nn.Linear(WIDTH, WIDTH)
        self.before_mlp = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x):
        batch, length, _ = x.shape
        heads = self.qkv(self.before_attention(x)).view(batch, length, 3, HEADS, WIDTH // HEADS)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        weights = q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        weights = weights.masked_fill(later, -math.inf).softmax(-1)
        x = x + self.attended((weights @ v).transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.mlp(self.before_mlp(x))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.token = nn.Embedding(256, WIDTH)
        self.position = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.last = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 256, bias=False)
        self.apply(self.start)

    @staticmethod
    def start(module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens):
        x = self.token(tokens) + self.position(torch.arange(tokens.shape[1]))
        return self.head(self.last(self.blocks(x)))


def convolutional():
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(2048, 512), nn.ReLU(), nn.Linear(512, 100))


class Pictures:
    """A picture of one of 100 kinds is the kind's own and noise."""

    def __init__(self):
        self.kinds = torch.randn(100, 3, 16, 16)

    def loss(self, model):
        kind = torch.randint(100, (64,))
        seen = self.kinds[kind] + 1.5 * torch.randn(64, 3, 16, 16)
        return functional.cross_entropy(model(seen), kind)


class Text:
    def __init__(self):
        self.text = corpus()

    def loss(self, model):
        at = torch.randint(len(self.text) - CONTEXT - 1, (BATCH,))
        tokens = torch.stack([self.text[i : i + CONTEXT + 1] for i in at])
        return functional.cross_entropy(model(tokens[:, :-1]).reshape(-1, 256), tokens[:, 1:].reshape(-1))


def setting(name):
    """A model, what it learns from, its optimizer."""
    if name == "gpt":
        model = Gpt()
        return model, Text(), torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1)
    model = convolutional()
    if name == "cnn-sgd":
        return model, Pictures(), torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)
    return model, Pictures(), torch.optim.Adam(model.parameters(), lr=3e-4, betas=(0.9, 0.999))


def corpus():
    """The sources of Python's library: text enough, on every machine that runs this."""
    paths = sorted(glob.glob(os.path.join(sysconfig.get_paths()["stdlib"], "*.py")))
    text = b"".join(open(path, "rb").read() for path in paths)
    return torch.frombuffer(bytearray(text), dtype=torch.uint8).long()


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": KINDS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            out.write(tensor.contiguous().view(torch.int16 if tensor.element_size() == 2 else torch.int32).numpy().tobytes())


def write_checkpoint(directory, step, model, optimizer):
    weights = {name: value.detach().clone() for name, value in model.state_dict().items() if value.is_floating_point()}
    state = {name: optimizer.state[value] for name, value in model.named_parameters()}
    at = os.path.join(directory, "step-%05d" % step)
    torch.save({"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, at + ".pt")
    write_safetensors(at + "-f32.safetensors", weights)
    write_safetensors(at + "-bf16.safetensors", {name: value.bfloat16() for name, value in weights.items()})
    whole = {"model." + name: value for name, value in weights.items()}
    for key in [key for key in ("exp_avg", "exp_avg_sq", "momentum_buffer") if key in next(iter(state.values()))]:
        whole.update({"optimizer.%s.%s" % (key, name): value[key] for name, value in state.items()})
    write_safetensors(at + "-adam.safetensors", whole)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("directory")
    options.add_argument("--first", type=int, default=1250, help="step of the first checkpoint")
    options.add_argument("--every", type=int, default=50, help="steps between checkpoints")
    options.add_argument("--count", type=int, default=6, help="checkpoints")
    options.add_argument("--model", default="gpt", choices=["gpt", "cnn-sgd", "cnn-adam"])
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(given.threads)
    os.makedirs(given.directory, exist_ok=True)
    model, learnt, optimizer = setting(given.model)
    rate = optimizer.param_groups[0]["lr"]
    for step in range(1, given.first + given.every * (given.count - 1) + 1):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, step / 100)
        loss = learnt.loss(model)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            print("step %d, loss %.3f" % (step, loss.item()), flush=True)
        if step >= given.first and (step - given.first) % given.every == 0:
            write_checkpoint(given.directory, step, model, optimizer)
    print(sum(p.numel() for p in model.parameters()), "parameters")


if __name__ == "__main__":
    main()
