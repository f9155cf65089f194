"""Turns trajectories into a training set: of each frame a histogram of the distances between
oxygens, and between oxygens and hydrogens of other molecules; its target is the frame's potential
energy per molecule. Reads TRAJ.gro beside TRAJ.xvg (from gmx energy)."""

import argparse
import glob
import math
import os

import torch

BINS, CUTOFF_NM = 60, 0.9


def frames(path):
    with open(path) as gro:
        while title := gro.readline():
            time_ps = float(title.split("t=")[1].split()[0])
            atoms = [gro.readline() for _ in range(int(gro.readline()))]
            names = [line[10:15].strip() for line in atoms]
            place = torch.tensor(
                [[float(line[20 + 8 * i : 28 + 8 * i]) for i in range(3)] for line in atoms]
            )
            box = torch.tensor([float(x) for x in gro.readline().split()[:3]])
            yield time_ps, names, place, box


def histogram(a, b, box, inside_molecule):
    apart = a[:, None, :] - b[None, :, :]
    apart -= box * torch.round(apart / box)
    distance = apart.square().sum(-1).sqrt()
    distance[inside_molecule] = CUTOFF_NM + 1
    return torch.histc(distance, BINS, 0, CUTOFF_NM) / len(a)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", default="features.pt")
    options.add_argument("trajectory", nargs="+", help="directories with frames.gro, energy.xvg")
    args = options.parse_args()
    torch.set_num_threads(1)

    features, targets = [], []
    for place in sorted(args.trajectory):
        energy = {}
        with open(os.path.join(place, "energy.xvg")) as xvg:
            for line in xvg:
                if line[0] not in "#@":
                    time_ps, potential = line.split()[:2]
                    energy[round(float(time_ps), 3)] = float(potential)
        for time_ps, names, atoms, box in frames(os.path.join(place, "frames.gro")):
            oxygen = torch.tensor([name == "OW" for name in names])
            o, h = atoms[oxygen], atoms[~oxygen]
            molecules = torch.arange(len(o))
            own_o = molecules[:, None] == molecules[None, :]
            own_h = molecules[:, None] == molecules.repeat_interleave(2)[None, :]
            features.append(torch.cat([histogram(o, o, box, own_o), histogram(o, h, box, own_h)]))
            targets.append(energy[round(time_ps, 3)] / len(o))
    x, y = torch.stack(features), torch.tensor(targets)
    if not torch.isfinite(x).all() or not all(map(math.isfinite, targets)):
        raise SystemExit("a trajectory holds values that are no numbers")
    torch.save({"x": x, "y": y}, args.out)
    print(f"{len(y)} frames of {len(args.trajectory)} trajectories")


if __name__ == "__main__":
    main()
