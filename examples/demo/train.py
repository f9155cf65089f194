"""Learns the potential energy of water from its pair-distance histograms.

Resumes bit for bit: the order of the batches is a function of (seed, epoch), the state file holds
all that changes, is written to another name and renamed, and SIGTERM ends the run after the batch
with a state file on disk."""

import argparse
import json
import os
import signal
import sys

import torch


def save(thing, path):
    with open(path + ".tmp", "wb") as out:
        torch.save(thing, out)
        out.flush()
        os.fsync(out.fileno())
    os.replace(path + ".tmp", path)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", default="features.pt")
    options.add_argument("--epochs", type=int, default=20)
    options.add_argument("--batch", type=int, default=16)
    options.add_argument("--hidden", type=int, default=512)
    options.add_argument("--rate", type=float, default=3e-4)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--resume", help="state file to go on from")
    args = options.parse_args()

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)

    data = torch.load(args.data)
    order = torch.randperm(len(data["y"]), generator=torch.Generator().manual_seed(args.seed))
    cut = len(order) * 4 // 5
    train, check = order[:cut], order[cut:]
    x = (data["x"] - data["x"][train].mean(0)) / (data["x"][train].std(0) + 1e-6)
    middle, spread = data["y"][train].mean(), data["y"][train].std()
    y = (data["y"] - middle) / spread

    model = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], args.hidden), torch.nn.SiLU(),
        torch.nn.Linear(args.hidden, args.hidden), torch.nn.SiLU(),
        torch.nn.Dropout(0.1), torch.nn.Linear(args.hidden, 1),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=args.rate)
    at = {"epoch": 0, "batch": 0, "loss": 0.0, "history": []}

    def checkpoint():
        save({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
              "random": torch.get_rng_state(), "at": at}, "train.ckpt")  # fmt: skip

    if args.resume:
        state = torch.load(args.resume)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        at = state["at"]
        print(f"resumes in epoch {at['epoch'] + 1} after {at['batch']} batches")

    while at["epoch"] < args.epochs:
        shuffle = torch.Generator().manual_seed(args.seed * 1_000_003 + at["epoch"])
        batches = train[torch.randperm(len(train), generator=shuffle)].split(args.batch)
        model.train()
        while at["batch"] < len(batches):
            rows = batches[at["batch"]]
            optimizer.zero_grad()
            loss = (model(x[rows]).squeeze(1) - y[rows]).square().mean()
            loss.backward()
            optimizer.step()
            at["loss"] += loss.item()
            at["batch"] += 1
            if stop:
                checkpoint()
                sys.exit(143)
        model.eval()
        with torch.no_grad():
            error = (model(x[check]).squeeze(1) - y[check]).square().mean().sqrt() * spread
        at["history"].append({"loss": at["loss"] / len(batches), "rmse_kj_mol": error.item()})
        at.update(epoch=at["epoch"] + 1, batch=0, loss=0.0)
        checkpoint()
        print(f"epoch {at['epoch']} of {args.epochs}: rmse {error.item():.4f} kJ/mol", flush=True)

    save({"model": model.state_dict(), "middle": middle, "spread": spread}, "model.pt")
    with open("metrics.json", "w") as out:
        json.dump({"frames": len(y), "epochs": at["history"]}, out, indent=1)


if __name__ == "__main__":
    main()
