"""Fits a small network to y = sin(3 x) + noise. Resumable: see --resume and the SIGTERM handler,
which is all that ebb asks of a script."""

import argparse
import json
import os
import signal
import sys

import torch


def save(thing, path):
    torch.save(thing, path + ".tmp")
    os.replace(path + ".tmp", path)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--epochs", type=int, default=40)
    options.add_argument("--rate", type=float, required=True)
    options.add_argument("--seed", type=int, required=True)
    options.add_argument("--resume", help="state file to go on from")
    args = options.parse_args()

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)
    x = torch.rand(4096, 1) * 2 - 1
    y = torch.sin(3 * x) + 0.05 * torch.randn(4096, 1)
    model = torch.nn.Sequential(
        torch.nn.Linear(1, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=args.rate)
    epoch, losses = 0, []

    if args.resume:
        state = torch.load(args.resume)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        epoch, losses = state["epoch"], state["losses"]

    while epoch < args.epochs:
        order = torch.Generator().manual_seed(args.seed * 1_000_003 + epoch)
        total = 0.0
        for rows in torch.randperm(len(x), generator=order).split(64):
            optimizer.zero_grad()
            loss = (model(x[rows]) - y[rows]).square().mean()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        epoch, losses = epoch + 1, losses + [total / len(x)]
        save({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
              "epoch": epoch, "losses": losses}, "train.ckpt")  # fmt: skip
        print(f"epoch {epoch} of {args.epochs}: loss {losses[-1]:.5f}", flush=True)
        if stop and epoch < args.epochs:  # an epoch is short here
            sys.exit(143)

    save(model.state_dict(), "model.pt")
    with open("metrics.json", "w") as out:
        json.dump({"rate": args.rate, "seed": args.seed, "loss": losses[-1]}, out)


if __name__ == "__main__":
    main()
