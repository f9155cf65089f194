#!/usr/bin/python3
"""PyTorch loads what ebb unpack wrote, tensors equal; NumPy too. Checkpoints as changes to the one
before, in a chain.

    pack_pytorch.py EBB
"""
import copy
import json
import os
import subprocess
import sys
import tempfile

try:
    import numpy
    import torch
except ImportError as why:
    print(f"SKIP: {why}")
    sys.exit(77)


def ebb(*words, status=0):
    done = subprocess.run([EBB, *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == status, f"ebb {' '.join(words)}: {done.returncode}\n{done.stderr}"
    return done.stdout


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def train(steps):
    """Checkpoints of a small model, one after every few steps."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 64))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for step in range(steps):
        for _ in range(5):
            x = torch.randn(32, 64)
            loss = (model(x) - x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict(),
                 "half": {k: v.bfloat16() for k, v in model.state_dict().items()}}
        os.makedirs(f"s{step}")
        torch.save(state, f"s{step}/model.pt")
        yield copy.deepcopy(state)


def main():
    states = list(train(11))
    whole = None
    for step, state in enumerate(states):
        base = ["--base", f"s{step - 1}.ebbp"] if step else []
        report = json.loads(ebb("pack", f"s{step}/model.pt", "-o", f"s{step}.ebbp", *base, "--json"))
        entry = report["files"][0]
        assert entry["kind"] == "torch" and entry["codec"] == "arrays", entry
        whole = whole or entry["packed_bytes"]
        assert entry.get("chain_length", 0) == step % 9, entry  # at most 8 long, then whole again
        if step % 9:
            assert entry["packed_bytes"] < 0.97 * whole, entry
        else:
            assert entry["packed_bytes"] < 0.95 * entry["size_bytes"], entry
    for step, state in enumerate(states):
        ebb("pack", "--verify", f"s{step}.ebbp")
        ebb("unpack", f"s{step}.ebbp", "-o", "back", "--force")
        with open(f"s{step}/model.pt", "rb") as a, open(f"back/s{step}/model.pt", "rb") as b:
            assert a.read() == b.read()
        assert equal(torch.load(f"back/s{step}/model.pt"), state)

    # The base has to be there, and be the one.
    os.makedirs("away")
    os.rename("s1.ebbp", "away/s1.ebbp")
    ebb("unpack", "s2.ebbp", "-o", "back2", status=2)
    ebb("unpack", "s1.ebbp", "-o", "back2", status=2)
    ebb("unpack", "away/s1.ebbp", "-o", "back2", "--base", "s0.ebbp")
    ebb("unpack", "away/s1.ebbp", "-o", "back3", "--base", "s3.ebbp", status=2)
    # A plain base, and a folder of them.
    ebb("pack", "s5/model.pt", "-o", "plain.ebbp", "--base", "s4/model.pt")
    ebb("unpack", "plain.ebbp", "-o", "back5")
    ebb("pack", "s5/model.pt", "-o", "folder.ebbp", "--base", "s4")
    ebb("pack", "--verify", "folder.ebbp")

    ebb("pack", "s0/model.pt", "-o", "no.ebbp", "--error", "0.1", status=2)

    array = numpy.arange(30000, dtype="<f8").reshape(100, 300) ** 0.5
    numpy.save("a.npy", array)
    numpy.savez("a.npz", first=array, second=array.astype("<f4"))
    ebb("pack", "a.npy", "a.npz", "-o", "a.ebbp")
    ebb("unpack", "a.ebbp", "-o", "arrays")
    assert numpy.array_equal(numpy.load("arrays/a.npy"), array)
    assert numpy.array_equal(numpy.load("arrays/a.npz")["second"], array.astype("<f4"))
    print("PyTorch and NumPy load what was unpacked")


EBB = os.path.abspath(sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    main()
    os.chdir("/")
