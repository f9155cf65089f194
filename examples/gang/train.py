"""Fits a small network to y = sin(3 x) + noise on several VMs at once, data parallel. ebb starts it
on each of them with MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK set, which is what torch reads.
Resumable: rank 0 saves, and every rank gets what it saved back."""

import argparse
import hashlib
import json
import os
import signal
import sys
import time

import torch
import torch.distributed as dist


def save(thing, path):
    torch.save(thing, path + ".tmp")
    os.replace(path + ".tmp", path)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--epochs", type=int, default=20)
    options.add_argument("--pause", type=float, default=0, help="seconds to sleep after each epoch")
    options.add_argument("--resume", help="state file to go on from")
    args = options.parse_args()

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    x = torch.rand(4096, 1) * 2 - 1
    y = torch.sin(3 * x) + 0.05 * torch.randn(4096, 1)
    model = torch.nn.parallel.DistributedDataParallel(
        torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    epoch, loss = 0, 0.0

    if args.resume:
        state = torch.load(args.resume)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        epoch, loss = state["epoch"], state["loss"]

    while epoch < args.epochs:
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
        total = torch.zeros(2)
        for rows in order[rank::size].split(256):
            optimizer.zero_grad()
            error = (model(x[rows]) - y[rows]).square().mean()
            error.backward()  # the gradients are averaged over all ranks here
            optimizer.step()
            total[0] += error.item() * len(rows)
        epoch += 1
        # Whoever was asked to stop, all stop after the same epoch.
        total[1] = bool(stop)
        dist.all_reduce(total)
        loss = total[0].item() / len(x)
        if rank == 0:
            save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch, "loss": loss},
                 "train.ckpt")
            print(f"epoch {epoch} of {args.epochs}: loss {loss:.5f}", flush=True)
        if total[1] > 0 and epoch < args.epochs:
            dist.barrier()  # rank 0 has saved
            sys.exit(143)
        time.sleep(args.pause)

    with open("rank.json", "w") as out:
        json.dump({"rank": rank, "of": size, "rows": len(x[rank::size])}, out)
    if rank == 0:
        save(model.module.state_dict(), "model.pt")
        weights = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters()))
        with open("metrics.json", "w") as out:
            json.dump({"epochs": epoch, "loss": loss, "weights": weights.hexdigest()}, out)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
