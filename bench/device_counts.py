#!/usr/bin/env python3
"""What the CUDA compiler makes of the device kernels, for where there is no GPU to time them.

    device_counts.py [--arch sm_90] [--kernel NAME] [--usual]

For each kernel: registers, shared memory, spills (ptxas), threads that an H100 or H200 holds of it on a
multiprocessor; and of its machine code, where cuobjdump and nvdisasm are there (PATH, or the folder
EBB_CUDA_TOOLS; the CUDA toolkit has them, and so has the wheel of triton): instructions, loads and stores
of global memory by width, of shared memory, atomics, shuffles and votes, barriers, double precision, and
the loops with their instructions (without those of loops inside), innermost first in the order of the
code. --usual counts the code that is left where the compiler is told what is nearly always so (whole
blocks, no escapes, no corrections, three-site water in one part), and up to its last exit, behind which
stand the rare paths of divisions and of warps that are not together: about what every warp runs, the
bodies of loops once. Without these tools the instructions are told from the size of the code alone.
"""
import argparse
import collections
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FLAGS = ["-I" + ROOT, "-O3", "-std=c++17", "-fmad=false", "-prec-div=true", "-prec-sqrt=true",
         "-ftz=false"]
CLASSES = (("global loads", r"LDG"), ("global stores", r"STG"), ("local", r"LDL|STL"),
           ("shared", r"LDS|STS"), ("constant", r"LDC|ULDC"), ("global atomics", r"ATOMG|RED\b|ATOM\b"),
           ("shared atomics", r"ATOMS"), ("warp", r"SHFL|VOTE|REDUX|MATCH"), ("barriers", r"BAR"),
           ("double", r"D(ADD|MUL|FMA|SETP)|F2F\.F32\.F64|F2F\.F64|I2F\.F64|F2I.*F64"),
           ("reciprocals", r"MUFU"))


def tool(name):
    folder = os.environ.get("EBB_CUDA_TOOLS")
    return shutil.which(name, path=folder) if folder else shutil.which(name)


def short(name):
    """A demangled kernel without its namespaces and arguments."""
    name = re.sub(r"\(anonymous namespace\)::|ebb_scan::|\(int\)|^void ", "", name)
    depth = 0
    for i, c in enumerate(name):
        depth += (c == "<") - (c == ">")
        if c == "(" and depth == 0:
            return name[:i]
    return name


def demangle(text):
    return subprocess.run(["c++filt"], input=text, capture_output=True, text=True, check=True).stdout


def usage(nvcc, source, arch, out, more):
    """{kernel: (registers, shared bytes, spilled bytes)}; the machine code goes to `out`."""
    run = subprocess.run([nvcc, *FLAGS, *more, "-arch=" + arch, "-Xptxas", "-v", "-cubin", source, "-o", out],
                         capture_output=True, text=True, check=True)
    kernels, name, spills = {}, None, 0
    for line in demangle(run.stderr).splitlines():
        if found := re.search(r"entry function '(.*)' for", line):
            name = short(found[1])
        if found := re.search(r"(\d+) bytes spill stores", line):
            spills = int(found[1])
        if found := re.search(r"Used (\d+) registers", line):
            shared = re.search(r"(\d+) bytes smem", line)
            kernels[name] = (int(found[1]), int(shared[1]) if shared else 0, spills)
    return kernels


def bounds(source):
    """{kernel: threads of a block}, as the source says."""
    with open(source, encoding="utf-8") as file:
        text = file.read()
    number = {}
    for m in re.finditer(r"\b([A-Z]+) = ([A-Z0-9_ /]+)[,}\s]", text):
        words = [number.get(w, w) for w in m[2].split()]
        if all(isinstance(w, int) or w.isdigit() or w == "/" for w in words):
            number[m[1]] = int(eval("".join(str(w) for w in words).replace("/", "//")))
    ret = {}
    for m in re.finditer(r"__launch_bounds__\(([^)]*)\)\s+(\w+)\(", text):
        ret[m[2]] = number.get(m[1].split(",")[0].strip(), 256)
    return ret


def threads_on_multiprocessor(registers, shared, threads):
    by_registers = 65536 // (max((registers + 7) // 8 * 8, 8) * threads)
    by_shared = 32 if shared == 0 else 233472 // (shared + 1024)
    return threads * min(by_registers, by_shared, 32, 2048 // threads)


def width_of(instruction):
    instruction = re.search(r"\b(?:LDG|STG)\S*", instruction)[0]
    for suffix, bytes_ in ((".128", 16), (".64", 8), (".U8", 1), (".S8", 1), (".U16", 2), (".S16", 2)):
        if suffix in instruction:
            return bytes_
    return 4


def machine_code(cubin, cuobjdump, to_exit):
    """{kernel: (class counts, widths, all, loops)}; to_exit: only what stands before the last exit."""
    environment = dict(os.environ)
    if os.environ.get("EBB_CUDA_TOOLS"):
        environment["PATH"] = os.environ["EBB_CUDA_TOOLS"] + ":" + environment["PATH"]
    text = subprocess.run([cuobjdump, "-sass", cubin], capture_output=True, text=True, check=True,
                          env=environment).stdout
    ret = {}
    for part in re.split(r"\n\s*Function : ", text)[1:]:
        mangled, body = part.split("\n", 1)
        lines = [(int(a, 16), i) for a, i in re.findall(r"/\*([0-9a-f]{4,5})\*/\s+(.*?);", body)]
        counts, widths, loops = collections.Counter(), collections.Counter(), []
        last = max((a for a, i in lines if re.search(r"\bEXIT\b", i)), default=0)
        lines = [(a, i) for a, i in lines if not re.match(r"NOP", i) and (a <= last or not to_exit)]
        for address, instruction in lines:
            for kind, pattern in CLASSES:
                if re.search(r"(^|\s)(" + pattern + ")", instruction):
                    counts[kind] += 1
                    if kind.startswith("global") and "atomics" not in kind:
                        widths[kind, width_of(instruction)] += 1
            found = re.search(r"\bBRA(?:\.\w+)*\s+(?:!?U?P\w+, )?`?\(?\.?L?_?x?_?\d*\)?\s*(0x[0-9a-f]+)?",
                              instruction)
            target = re.search(r"0x([0-9a-f]+)", instruction) if found else None
            if target and int(target[1], 16) < address <= last:
                loops.append((int(target[1], 16), address))
        own = []
        for begin, end in loops:
            inner = [(b, e) for b, e in loops if begin <= b and e <= end and (b, e) != (begin, end)]
            own.append(sum(1 for a, _ in lines
                           if begin <= a <= end and not any(b <= a <= e for b, e in inner)))
        ret[short(demangle(mangled).strip())] = (counts, widths, len(lines), own)
    return ret


def sizes(cubin):
    """{kernel: instructions}, from the sections alone: 16 bytes each, padding included."""
    text = subprocess.run(["readelf", "-SW", cubin], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"\.text\.(\S+)\s+PROGBITS\s+\S+\s+\S+\s+([0-9a-f]+)", text)
    return {short(demangle(n).strip()): (None, None, int(size, 16) // 16, []) for n, size in found}


def listed(widths, kind):
    items = sorted((w, n) for (k, w), n in widths.items() if k == kind)
    return "+".join(f"{n}x{w}" for w, n in reversed(items)) or "-"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("--kernel", default="", help="those alone whose name has this")
    parser.add_argument("--usual", action="store_true")
    arguments = parser.parse_args()
    more = ["-DEBB_COUNT_USUAL"] if arguments.usual else []
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    if not os.access(nvcc, os.X_OK):
        print("device_counts.py: no nvcc here")
        return 0
    cuobjdump = tool("cuobjdump")
    print(f"{'kernel (' + arguments.arch + ')':<28}{'regs':>5}{'shared':>7}{'spill':>6}{'thr/SM':>7}"
          f"{'instr':>7}  {'loads':<14}{'stores':<14}others; loops")
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted(glob.glob(os.path.join(ROOT, "kernels/cuda/*.cu"))):
            cubin = os.path.join(folder, "x.cubin")
            kernels, threads = usage(nvcc, source, arguments.arch, cubin, more), bounds(source)
            code = machine_code(cubin, cuobjdump, arguments.usual) if cuobjdump else sizes(cubin)
            for name, (registers, shared, spills) in sorted(kernels.items()):
                if arguments.kernel not in name:
                    continue
                counts, widths, instructions, loops = code[name]
                held = threads_on_multiprocessor(registers, shared,
                                                 threads.get(name.split("<")[0], 256))
                line = f"{name:<28}{registers:>5}{shared:>7}{spills:>6}{held:>7}{instructions:>7}"
                if counts is not None:
                    others = [f"{kind} {n}" for kind, n in counts.items()
                              if n and not kind.startswith(("global l", "global s"))]
                    line += (f"  {listed(widths, 'global loads'):<14}"
                             f"{listed(widths, 'global stores'):<14}{', '.join(others)}; {loops}")
                print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
