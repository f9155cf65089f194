"""An engine on several VMs whose every rank has a state of its own. At each step all ranks learn the
chains of all others and extend theirs by them, so that states of different steps, put together, give
another result, if they do not stop the start at once. Asked to stop, a rank saves
where it is; rank 1 does not, so that its newest state is an older one."""
import argparse
import hashlib
import os
import signal
import socket
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--every", type=int, default=10, help="steps between state files")
parser.add_argument("--sleep", type=float, default=0.02, help="seconds a step takes")
parser.add_argument("--hold", help="the last step is not made before this file exists")
parser.add_argument("--hold-at", type=int, default=0, help="and those from this one on take ten times as long")
parser.add_argument("--resume")
options = parser.parse_args()
rank, size = int(os.environ["EBB_GANG_RANK"]), int(os.environ["EBB_GANG_SIZE"])
host, port = os.environ["EBB_GANG_RENDEZVOUS"].rsplit(":", 1)
signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
stopping = []

step, chain = 0, hashlib.sha256(str(rank).encode()).hexdigest()
if options.resume:
    with open(options.resume) as f:
        fields = f.read().split()
    step, chain = int(fields[0]), fields[1]


def save():
    with open("run.tmp", "w") as f:
        f.write(f"{step} {chain}\n")
    os.rename("run.tmp", f"run-{step}.state")


def stop():
    if rank != 1:
        save()
    print(f"stopped at step {step}", flush=True)
    os._exit(143)


def connect():
    if rank == 0:
        server = socket.create_server((host, int(port)))
        return [server.accept()[0].makefile("rw") for _ in range(1, size)]
    for _ in range(200):
        try:
            return [socket.create_connection((host, int(port))).makefile("rw")]
        except ConnectionRefusedError:
            time.sleep(0.05)
    sys.exit("rank 0 does not answer")


def exchange(own):
    """What every rank says, by rank; rank 0 collects it and tells it to all."""
    try:
        if rank == 0:
            said = dict([(0, own)] + [peer.readline().split() for peer in peers])
            if len(said) < size:
                raise OSError
            line = " ".join(said[k] for k in sorted(said, key=int)) + "\n"
            for peer in peers:
                peer.write(line)
                peer.flush()
            return line.split()
        peers[0].write(f"{rank} {own}\n")
        peers[0].flush()
        answer = peers[0].readline().split()
        if not answer:
            raise OSError
        return answer
    except (OSError, ValueError):
        time.sleep(0.5)  # asked to stop as well?
        if stopping:
            stop()
        sys.exit("a peer is gone")


def held():
    return options.hold and not stopping and not os.path.exists(options.hold)


peers = connect()
if len(set(exchange(str(step)))) > 1:
    print("the ranks go on from different steps", flush=True)
    sys.exit(9)
while step < options.steps:
    while step + 1 == options.steps and held():
        time.sleep(options.sleep)
    chain = hashlib.sha256((chain + "".join(exchange(chain))).encode()).hexdigest()
    step += 1
    if step % options.every == 0:
        save()
        print(f"step {step} of {options.steps}", flush=True)
    if stopping:
        stop()
    time.sleep(options.sleep * (10 if step >= options.hold_at and held() else 1))
with open("result.txt", "w") as f:
    f.write(chain + "\n")
