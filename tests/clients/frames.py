"""The readers and writers of file formats against the programs that the formats belong to: GROMACS and
LAMMPS write small runs, `frames` reads and rewrites them, GROMACS and MDAnalysis read what it wrote.

    frames.py FRAMES        the program of frames.c; exit status 77 when a tool is missing
"""

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import warnings

warnings.filterwarnings("ignore")
try:
    import MDAnalysis
    import numpy
except ImportError as missing:
    print("SKIP: %s" % missing)
    sys.exit(77)
for tool in ("gmx", "lmp"):
    if shutil.which(tool) is None:
        print("SKIP: %s is not installed" % tool)
        sys.exit(77)

os.environ["GMX_MAXBACKUP"] = "-1"
FRAMES = os.path.abspath(sys.argv.pop(1))

MDP = """
integrator = md
dt = 0.002
nsteps = 60
nstxout = 20
nstvout = 20
nstfout = 60
nstxout-compressed = 10
coulombtype = PME
rcoulomb = 0.8
rvdw = 0.8
rlist = 0.8
tcoupl = v-rescale
tc-grps = system
tau-t = 0.1
ref-t = 300
gen-vel = yes
gen-seed = 1
"""

LAMMPS = """
units metal
atom_style atomic
atom_modify sort 5 0.5
lattice fcc 5.3
region box prism 0 4 0 4 0 4 0.3 0.1 0.2
create_box 1 box
create_atoms 1 box
mass 1 39.95
velocity all create 80 87287
pair_style lj/cut 8.5
pair_coeff 1 1 0.0104 3.4
fix 1 all nve
dump a all atom 10 atom.lammpstrj
dump c all custom 10 custom.lammpstrj vx id z type x y xu
dump_modify c format float %20.12g units yes time yes
dump s all custom 10 sorted.lammpstrj id type xsu ysu zsu
dump_modify s sort id format float %.8f
dump p all custom 10 plain.lammpstrj id type x y z
dump ba all atom 10 atom.bin
dump bc all custom 10 custom.bin id type vx vy vz x y z
dump_modify bc units yes time yes
run 40
write_restart run.restart
write_data run.data nocoeff
"""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError("%s: exit status %d\n%s\n%s" % (" ".join(command), done.returncode,
                                                             done.stdout[-2000:], done.stderr[-4000:]))
    return done.stdout + done.stderr


def frames(*arguments):
    """The program's JSON lines."""
    done = subprocess.run((FRAMES,) + arguments, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError("frames %s: %s" % (" ".join(arguments), done.stderr))
    return [json.loads(line) for line in done.stdout.splitlines()]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write_trr(path, pictures, double=False):
    """A TRR of boxes of 5 nm and the given positions."""
    size, kind = (8, ">f8") if double else (4, ">f4")
    with open(path, "wb") as file:
        for step, x in enumerate(pictures):
            file.write(struct.pack(">iii12s", 1993, 13, 12, b"GMX_trn_file"))
            file.write(struct.pack(">13i", 0, 0, 9 * size, 0, 0, 0, 0, x.size * size, 0, 0, len(x), step, 0))
            for part in (numpy.array([step * 0.5, 0]), numpy.eye(3) * 5, x):
                file.write(part.astype(kind).tobytes())


def write_dcd(path, order, cell, fixed, pictures):
    """A DCD as CHARMM writes it, the first `fixed` atoms in the first frame alone."""
    def record(data):
        length = struct.pack(order + "i", len(data))
        return length + data + length
    atoms = pictures.shape[1]
    header = [len(pictures), 1, 1, len(pictures)] + [0] * 4 + [fixed, 0, int(cell is not None)] + [0] * 8 + [24]
    with open(path, "wb") as file:
        file.write(record(b"CORD" + struct.pack(order + "20i", *header)))
        file.write(record(struct.pack(order + "i", 1) + b"made".ljust(80)))
        file.write(record(struct.pack(order + "i", atoms)))
        if fixed:
            file.write(record(struct.pack(order + "%di" % (atoms - fixed), *range(fixed + 1, atoms + 1))))
        for number, x in enumerate(pictures):
            if cell is not None:
                file.write(record(struct.pack(order + "6d", *cell)))
            for axis in range(3):
                file.write(record(x[fixed if number else 0:, axis].astype(order + "f4").tobytes()))


def shapes_of_systems():
    """Positions that drive XTC's coding to its corners."""
    random = numpy.random.default_rng(5)
    oxygen = random.random((400, 1, 3)) * 4
    hydrogen = random.normal(0, 0.06, (400, 2, 3))
    yield "water", numpy.concatenate([oxygen, oxygen + hydrogen], 1).reshape(-1, 3)
    for scale in (0.001, 0.03, 1):
        yield "walk of %g" % scale, numpy.cumsum(random.normal(0, scale, (900, 3)), 0)
    yield "leaps", numpy.cumsum(random.standard_cauchy((700, 3)) * 0.02, 0)
    yield "points", numpy.concatenate([numpy.zeros((30, 3)), numpy.ones((30, 3)) * [1, -2, 3]])
    for atoms in list(range(1, 14)) + [31, 32, 33]:
        yield "%d atoms" % atoms, random.random((atoms, 3)) * 3 - 1


class Work(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="ebb-frames-")
        cls.addClassCleanup(cls.directory.cleanup)
        cls.prepare()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.directory.name, name)

    def assert_comes_back(self, name):
        """Taken apart and put together the file is the same."""
        report, = frames("rewrite", self.path(name), self.path("again"))
        self.assertGreater(report["frames"], 0)
        self.assertEqual(report["differ"], 0)
        self.assertEqual(read(self.path("again")), read(self.path(name)))

    def assert_reads_like_mdanalysis(self, name, topology, to_angstrom, tolerance, **options):
        """Our reading of the file and MDAnalysis's; how many frames there are."""
        universe = MDAnalysis.Universe(self.path(topology), self.path(name), **options)
        ours = [frame for frame in frames("json", self.path(name)) if frame["x"]]
        self.assertGreater(len(ours), 0)
        theirs = [step for step in universe.trajectory if getattr(step, "has_positions", True)]
        self.assertEqual(len(ours), len(theirs))
        for frame, step in zip(ours, universe.trajectory):
            x = numpy.array(frame["x"]).reshape(-1, 3) * to_angstrom
            numpy.testing.assert_allclose(x, step.positions, rtol=0, atol=tolerance)
            box = numpy.array(frame["box"]).reshape(3, 3) * to_angstrom
            numpy.testing.assert_allclose(box, step.triclinic_dimensions, rtol=0, atol=2e-3)
        return len(ours)


class Gromacs(Work):
    @classmethod
    def prepare(cls):
        def gmx(*arguments, **options):
            return run("gmx", *arguments, cwd=cls.directory.name, **options)
        cls.gmx = staticmethod(gmx)
        gmx("solvate", "-cs", "spc216.gro", "-box", "1.9", "1.9", "1.9", "-o", "water.gro")
        with open(cls.path("water.gro")) as file:
            waters = sum("OW" in line for line in file)
        with open(cls.path("water.top"), "w") as file:
            file.write('#include "oplsaa.ff/forcefield.itp"\n#include "oplsaa.ff/spce.itp"\n'
                       "[ system ]\nwater\n[ molecules ]\nSOL %d\n" % waters)
        with open(cls.path("run.mdp"), "w") as file:
            file.write(MDP)
        with open(cls.path("minimise.mdp"), "w") as file:
            file.write("integrator = steep\nnsteps = 30\nrcoulomb = 0.8\nrvdw = 0.8\nrlist = 0.8\n")
        start = "water.gro"
        for name in ("minimise", "run"):
            gmx("grompp", "-f", name + ".mdp", "-c", start, "-p", "water.top", "-o", name + ".tpr", "-maxwarn", "9")
            gmx("mdrun", "-deffnm", name, "-ntmpi", "1", "-ntomp", "1")
            start = name + ".gro"

    def test_files_of_mdrun_come_back_byte_for_byte(self):
        for name in ("run.xtc", "run.trr"):
            self.assert_comes_back(name)

    def test_frames_read_like_mdanalysis_reads_them(self):
        self.assertEqual(self.assert_reads_like_mdanalysis("run.xtc", "run.gro", 10, 2e-6), 7)
        self.assertEqual(self.assert_reads_like_mdanalysis("run.trr", "run.gro", 10, 2e-6), 4)

    def test_xtc_made_of_floats_is_what_trjconv_makes(self):
        for name, x in shapes_of_systems():
            write_trr(self.path("shape.trr"), [x, x + 0.01])
            for digits in range(1, 7):
                if numpy.abs(x).max() * 10 ** digits > 2e9:
                    continue
                self.gmx("trjconv", "-f", "shape.trr", "-o", "theirs.xtc", "-ndec", str(digits), input="0\n")
                frames("xtc", self.path("shape.trr"), self.path("ours.xtc"), str(10 ** digits))
                self.assertEqual(read(self.path("ours.xtc")), read(self.path("theirs.xtc")),
                                 "%s at %d digits" % (name, digits))

    def test_the_xtc_of_2023_reads_like_that_of_1995(self):
        """The magic of very large systems, on a small one."""
        old = read(self.path("run.xtc"))
        length, = struct.unpack(">i", old[88:92])
        frame = struct.pack(">i", 2023) + old[4:88] + struct.pack(">q", length) + old[92:92 + (length + 3) // 4 * 4]
        with open(self.path("wide.xtc"), "wb") as file:
            file.write(frame)
        self.assert_comes_back("wide.xtc")
        self.assertEqual(frames("json", self.path("wide.xtc"))[0], frames("json", self.path("run.xtc"))[0])

    def test_gromacs_reads_what_was_moved(self):
        """New coordinates in the old frames: `check` finds all of them, `rms` and `dump` the new places."""
        for name in ("run.xtc", "run.trr"):
            moved = "moved-" + name
            frames("shift", self.path(name), self.path(moved), "0.25")
            report = self.gmx("check", "-f", moved)
            self.assertRegex(report, r"Coords +%d" % (7 if name.endswith("xtc") else 4))
            self.assertNotIn("rror", report.replace("GROMACS reminds", ""))
            self.gmx("rms", "-s", "run.tpr", "-f", moved, "-o", "rms.xvg", "-fit", "none", input="0\n0\n")
            with open(self.path("rms.xvg")) as file:
                rows = [line.split() for line in file if line[0] not in "#@"]
            # 0.25 nm along each axis, from the very structure that the run began with.
            self.assertAlmostEqual(float(rows[0][1]), 0.25 * 3 ** 0.5, delta=2e-3)
            before = MDAnalysis.Universe(self.path("run.gro"), self.path(name))
            after = MDAnalysis.Universe(self.path("run.gro"), self.path(moved))
            for old, new in zip(before.trajectory, after.trajectory):
                numpy.testing.assert_allclose(new.positions, old.positions + 2.5, rtol=0, atol=2e-5)
                self.assertEqual((new.data["step"], new.time), (old.data["step"], old.time))
                if old.has_velocities:
                    numpy.testing.assert_array_equal(new.velocities, old.velocities)
                if old.has_forces:
                    numpy.testing.assert_array_equal(new.forces, old.forces)
            dumped = self.gmx("dump", "-f", moved)
            self.assertIn("natoms=", dumped)

    def test_trr_in_double_precision(self):
        x = numpy.random.default_rng(2).random((20, 3)) * 4
        write_trr(self.path("double.trr"), [x, -x], double=True)
        self.assert_comes_back("double.trr")
        ours = frames("json", self.path("double.trr"))
        numpy.testing.assert_array_equal(numpy.array(ours[1]["x"]).reshape(-1, 3), -x)
        self.assertRegex(self.gmx("check", "-f", "double.trr"), r"Coords +2")

    def test_dcd_of_mdanalysis(self):
        universe = MDAnalysis.Universe(self.path("run.gro"), self.path("run.trr"))
        with MDAnalysis.Writer(self.path("theirs.dcd"), universe.atoms.n_atoms) as writer:
            for _ in universe.trajectory:
                writer.write(universe.atoms)
        self.assert_comes_back("theirs.dcd")
        self.assertEqual(self.assert_reads_like_mdanalysis("theirs.dcd", "run.gro", 1, 0), 4)
        frames("shift", self.path("theirs.dcd"), self.path("moved.dcd"), "1.5")
        moved = MDAnalysis.Universe(self.path("run.gro"), self.path("moved.dcd"))
        for old, new in zip(universe.trajectory, moved.trajectory):
            numpy.testing.assert_allclose(new.positions, old.positions + 1.5, rtol=0, atol=1e-5)
            numpy.testing.assert_array_equal(new.dimensions, old.dimensions)

    def test_dcds_of_every_make_read_like_mdanalysis_reads_them(self):
        random = numpy.random.default_rng(3)
        for order in "<>":
            for cell in (None, (20, 90, 30, 80, 70, 40), (20, 0.0, 30, 0.1, 0.2, 40)):
                for fixed in (0, 5):
                    if fixed and cell:
                        continue
                    pictures = random.random((3, 12, 3)).astype("f4") * 20
                    pictures[1:, :fixed] = pictures[0, :fixed]
                    write_dcd(self.path("made.dcd"), order, cell, fixed, pictures)
                    self.assert_comes_back("made.dcd")
                    ours = [numpy.array(f["x"]).reshape(-1, 3) for f in frames("json", self.path("made.dcd"))]
                    numpy.testing.assert_array_equal(ours[0], pictures[0])
                    numpy.testing.assert_array_equal(ours[2], pictures[2, fixed:])
                    theirs = MDAnalysis.Universe.empty(12, trajectory=True)
                    theirs.load_new(self.path("made.dcd"))
                    for ours_is, step in zip(ours[1:], theirs.trajectory[1:]):
                        numpy.testing.assert_array_equal(step.positions[fixed:], ours_is)
                    if cell:
                        box = numpy.array(frames("json", self.path("made.dcd"))[0]["box"]).reshape(3, 3)
                        numpy.testing.assert_allclose(box, theirs.trajectory[0].triclinic_dimensions, atol=1e-4)

    def test_positions_and_velocities_in_a_checkpoint(self):
        ranges = frames("ranges", self.path("run.cpt"))
        self.assertEqual([r["role"] for r in ranges], ["positions", "velocities"])
        dumped = self.gmx("dump", "-cp", "run.cpt").splitlines()
        for r in ranges:
            self.assertEqual((r["columns"], r["dtype"], r["big_endian"]), (3, "f32", True))
            values = numpy.frombuffer(read(self.path("run.cpt")), ">f4", r["rows"] * 3, r["offset"])
            lines = [line.split("=")[1] for line in dumped if line.strip().startswith(r["name"] + "[")]
            self.assertEqual(len(lines), r["rows"] * 3)
            numpy.testing.assert_allclose(values, numpy.array(lines, float), rtol=1e-5, atol=1e-7)


class Lammps(Work):
    @classmethod
    def prepare(cls):
        with open(cls.path("in.run"), "w") as file:
            file.write(LAMMPS)
        run("lmp", "-in", "in.run", "-log", "none", cwd=cls.directory.name)

    def test_dumps_come_back_byte_for_byte(self):
        for name in ("atom.lammpstrj", "custom.lammpstrj", "sorted.lammpstrj", "plain.lammpstrj",
                     "atom.bin", "custom.bin"):
            with self.subTest(name):
                self.assert_comes_back(name)

    def test_dumps_read_like_mdanalysis_reads_them(self):
        for name in ("plain.lammpstrj", "custom.lammpstrj"):
            with self.subTest(name):
                read_units = self.path("bare-" + name)
                # MDAnalysis knows no UNITS and TIME items.
                with open(self.path(name)) as file, open(read_units, "w") as bare:
                    lines = iter(file)
                    for line in lines:
                        if line.startswith(("ITEM: UNITS", "ITEM: TIME\n")):
                            next(lines)
                        else:
                            bare.write(line)
                self.assertEqual(self.assert_reads_like_mdanalysis(
                    "bare-" + name, "run.data", 1, 2e-5, format="LAMMPSDUMP", topology_format="DATA",
                    atom_style="id type x y z", lammps_coordinate_convention="unscaled"), 5)

    def test_text_and_binary_dumps_hold_the_same_atoms(self):
        text = frames("json", self.path("plain.lammpstrj"))
        custom = frames("json", self.path("custom.lammpstrj"))
        binary = frames("json", self.path("custom.bin"))
        self.assertEqual([f["step"] for f in text], [0, 10, 20, 30, 40])
        for a, b, c in zip(text, custom, binary):
            numpy.testing.assert_allclose(a["x"], c["x"], rtol=1e-5, atol=1e-6)
            numpy.testing.assert_allclose(b["x"], c["x"], rtol=1e-11, atol=1e-11)
            numpy.testing.assert_allclose(a["box"], c["box"], rtol=1e-6, atol=1e-6)
            self.assertEqual(b["time"], c["time"])

    def test_scaled_coordinates_are_fractions_of_the_box(self):
        scaled = frames("json", self.path("sorted.lammpstrj"))
        binary = frames("json", self.path("custom.bin"))
        box = numpy.array(binary[0]["box"]).reshape(3, 3)
        x = numpy.array(scaled[0]["x"]).reshape(-1, 3) @ box
        numpy.testing.assert_allclose(x, numpy.array(binary[0]["x"]).reshape(-1, 3), rtol=0, atol=1e-6)

    def test_mdanalysis_reads_what_was_moved(self):
        frames("shift", self.path("plain.lammpstrj"), self.path("moved.lammpstrj"), "0.125")
        options = {"format": "LAMMPSDUMP", "topology_format": "DATA", "atom_style": "id type x y z",
                   "lammps_coordinate_convention": "unscaled"}
        before = MDAnalysis.Universe(self.path("run.data"), self.path("plain.lammpstrj"), **options)
        after = MDAnalysis.Universe(self.path("run.data"), self.path("moved.lammpstrj"), **options)
        self.assertEqual(len(after.trajectory), 5)
        for old, new in zip(before.trajectory, after.trajectory):
            numpy.testing.assert_allclose(new.positions, old.positions + 0.125, rtol=0, atol=1e-5)

    def test_lammps_reads_what_was_moved(self):
        """rerun takes the frames of a dump as they are: the box and every atom must be right."""
        frames("rewrite", self.path("custom.bin"), self.path("again.bin"))
        frames("shift", self.path("plain.lammpstrj"), self.path("moved.lammpstrj"), "0.125")
        with open(self.path("in.rerun"), "w") as file:
            file.write("units metal\natom_style atomic\nread_data run.data\npair_style lj/cut 8.5\n"
                       "pair_coeff 1 1 0.0104 3.4\nthermo 1\nrerun moved.lammpstrj dump x y z\n")
        moved = run("lmp", "-in", "in.rerun", "-log", "none", cwd=self.directory.name)
        with open(self.path("in.rerun"), "a") as file:
            file.write("rerun plain.lammpstrj dump x y z\n")
        both = run("lmp", "-in", "in.rerun", "-log", "none", cwd=self.directory.name)
        energies = [float(line.split()[2]) for line in both.splitlines()
                    if len(line.split()) == 6 and line.split()[0] in ("0", "10", "20", "30", "40")]
        self.assertIn("Loop time", moved)
        self.assertEqual(len(energies), 10)
        numpy.testing.assert_allclose(energies[:5], energies[5:], rtol=1e-4)

    def test_the_atoms_of_a_restart_are_a_table(self):
        r, = frames("ranges", self.path("run.restart"))
        self.assertEqual((r["rows"], r["columns"], r["dtype"]), (256, 11, "f64"))
        table = numpy.frombuffer(read(self.path("run.restart")), "<f8", r["rows"] * r["columns"],
                                 r["offset"]).reshape(r["rows"], -1)
        self.assertTrue((table[:, 0] == 11).all())
        last = frames("json", self.path("custom.bin"))[-1]
        order = numpy.argsort(table[:, 4].copy().view("<i8"))
        moved = table[order, 1:4] - numpy.array(last["x"]).reshape(-1, 3)
        # An atom may have come back into the box on its other side.
        edges = moved @ numpy.linalg.inv(numpy.array(last["box"]).reshape(3, 3))
        numpy.testing.assert_allclose(edges, numpy.round(edges), rtol=0, atol=1e-6)


if __name__ == "__main__":
    unittest.main(verbosity=2)
