#!/usr/bin/env python3
"""The device kernels compile with another CUDA's front end, by its NVRTC library alone: no nvcc, no GPU.

    check_nvrtc.py [--library libnvrtc.so.12] [--arch sm_80 ...] [--keep DIR]

Without --library it takes EBB_NVRTC, or what lies beside nvcc, and exits 77 where there is none. To check
with a version of CUDA that is not installed, unpack its library from NVIDIA's wheel of the package index
(nvidia-cuda-nvrtc-cu12 for CUDA 12) and name it. Every kernel of kernels/cuda is compiled to the machine
code of each architecture, by the flags of kernels/cuda/CMakeLists.txt; one that is missing or a warning
fails. An architecture may be a virtual one, compute_90: as PTX, which takes a third of the time. --keep
writes the machine code to a folder.
"""
import argparse
import ctypes
import glob
import os
import re
import shutil
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# NVRTC has no headers of the host's. Of these the kernels need types and a few functions alone; what is
# host's in their files becomes device code here, and launches become mentions of their kernel, which are
# enough for templates to be compiled.
TYPES = """
#pragma once
typedef signed char int8_t; typedef short int16_t; typedef int int32_t; typedef long long int64_t;
typedef unsigned char uint8_t; typedef unsigned short uint16_t; typedef unsigned int uint32_t;
typedef unsigned long uint64_t; typedef unsigned long uintptr_t; typedef unsigned long size_t;
typedef long ptrdiff_t;
#define UINT8_MAX 255
#define UINT16_MAX 65535
#define UINT32_MAX 0xffffffffu
#define INT32_MAX 2147483647
#define INT32_MIN (-INT32_MAX - 1)
#define UINT64_MAX 0xffffffffffffffffull
#define SIZE_MAX UINT64_MAX
#define UINT64_C(x) x##ul
"""
RUNTIME = """
#pragma once
#include <stdint.h>
/* By other names: some versions of NVRTC know these, others do not. */
enum ebb_error_type { ebb_success = 0 };
#define cudaStream_t void *
#define cudaError_t ebb_error_type
#define cudaSuccess ebb_success
#define cudaMemcpyDeviceToDevice 3
static inline cudaError_t ebb_last() { return cudaSuccess; }
static inline const char *ebb_string(cudaError_t) { return ""; }
static inline cudaError_t ebb_copy(void *, const void *, size_t, int, cudaStream_t)
{ return cudaSuccess; }
static inline cudaError_t ebb_copy_rows(void *, size_t, const void *, size_t, size_t, size_t, int,
                                        cudaStream_t) { return cudaSuccess; }
static inline cudaError_t ebb_set(void *, int, size_t, cudaStream_t) { return cudaSuccess; }
#define cudaGetLastError ebb_last
#define cudaGetErrorString ebb_string
#define cudaMemcpyAsync ebb_copy
#define cudaMemcpy2DAsync ebb_copy_rows
#define cudaMemsetAsync ebb_set
template <class T> using ebb_literal = T;
template <class K, class... A> static inline void ebb_mention(K *, const A &...) {}
#define EBB_LAUNCH(kernel, grid, block, stream, ...) ebb_mention(kernel, grid, block, stream, __VA_ARGS__)
"""
SHIMS = {"cuda_runtime.h": RUNTIME, "stdint.h": TYPES, "stddef.h": TYPES,
         "string.h": '#include <stdint.h>\n', "stdlib.h": '#include <stdint.h>\n',
         "stdarg.h": "", "stdbool.h": "", "stdio.h": "", "math.h": "", "assert.h": ""}


def own_headers():
    """The project's, with their compound literals, which nvcc takes as GNU C++ does, as C++ has them."""
    headers = {}
    for pattern in ("kernels/*.[ch]", "kernels/*/*.[ch]", "base/*.h"):
        for path in glob.glob(os.path.join(ROOT, pattern)):
            with open(path, encoding="utf-8") as file:
                headers[os.path.relpath(path, ROOT)] = re.sub(
                    r"\((struct \w+(?:\(\w+\))?)\)\{", r"ebb_literal<\1>{", file.read())
    return headers


class Nvrtc:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.library.nvrtcGetErrorString.restype = ctypes.c_char_p

    def must(self, rc):
        if rc != 0:
            sys.exit("check_nvrtc.py: " + self.library.nvrtcGetErrorString(rc).decode())

    def version(self):
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.must(self.library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
        return f"{major.value}.{minor.value}"

    def text(self, program, what):
        size = ctypes.c_size_t()
        self.must(getattr(self.library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
        buffer = ctypes.create_string_buffer(max(size.value, 1))
        self.must(getattr(self.library, f"nvrtcGet{what}")(program, buffer))
        return buffer.raw[:size.value]

    def compile(self, path, options):
        """(return code, log, machine code; for a virtual architecture PTX)"""
        program = ctypes.c_void_p()
        names, bodies = zip(*{**SHIMS, **own_headers()}.items())
        array = ctypes.c_char_p * len(names)
        with open(path, "rb") as file:
            source = file.read()
        self.must(self.library.nvrtcCreateProgram(
            ctypes.byref(program), source, os.path.basename(path).encode(), len(names),
            array(*(b.encode() for b in bodies)), array(*(n.encode() for n in names))))
        rc = self.library.nvrtcCompileProgram(
            program, len(options), (ctypes.c_char_p * len(options))(*(o.encode() for o in options)))
        log = self.text(program, "ProgramLog").rstrip(b"\0").decode().strip()
        virtual = any("=compute_" in o for o in options)
        cubin = self.text(program, "PTX" if virtual else "CUBIN") if rc == 0 else b""
        self.library.nvrtcDestroyProgram(ctypes.byref(program))
        return rc, log, cubin


def find_library():
    if os.environ.get("EBB_NVRTC"):
        return os.environ["EBB_NVRTC"]
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    beside = os.path.dirname(os.path.dirname(os.path.realpath(nvcc)))
    for folder in ("lib64", "lib", "targets/x86_64-linux/lib"):
        found = glob.glob(os.path.join(beside, folder, "libnvrtc.so*"))
        if found:
            return sorted(found)[0]
    return None


def kernels_of(path):
    """Names of the __global__ functions that a file defines itself."""
    with open(path) as file:
        text = file.read()
    return set(re.findall(r"__global__ void(?: __launch_bounds__\([^)]*\))?\s+(\w+)\(", text))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library")
    parser.add_argument("--arch", action="append", default=[])
    parser.add_argument("--keep")
    arguments = parser.parse_args()
    path = arguments.library or find_library()
    if path is None:
        print("skipped: no libnvrtc here (name one by EBB_NVRTC)")
        return 77
    nvrtc = Nvrtc(path)
    failed = 0
    for arch in arguments.arch or ["sm_80", "sm_90", "sm_100"]:
        for source in sorted(glob.glob(os.path.join(ROOT, "kernels/cuda/*.cu"))):
            options = ["--gpu-architecture=" + arch, "--std=c++17", "--fmad=false", "--prec-div=true",
                       "--prec-sqrt=true", "--ftz=false", "--device-as-default-execution-space",
                       "--include-path=" + ROOT, "-D__CUDACC__"]
            rc, log, cubin = nvrtc.compile(source, options)
            name = os.path.basename(source)
            missing = {k for k in kernels_of(source) if k.encode() not in cubin}
            if rc != 0 or missing or "warning" in log:
                failed += 1
                print(f"{name}, {arch}: " + (f"without {missing}" if missing and rc == 0 else ""))
                print(log)
            elif arguments.keep:
                os.makedirs(arguments.keep, exist_ok=True)
                with open(os.path.join(arguments.keep, f"{name[:-3]}.{arch}"), "wb") as file:
                    file.write(cubin)
    print(f"NVRTC {nvrtc.version()}: " + ("all kernels compile" if failed == 0 else f"{failed} fail"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
