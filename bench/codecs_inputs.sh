#!/usr/bin/env bash
# Builds the systems that the codec benches read, with GROMACS and LAMMPS:
#   lyso  lysozyme in TIP3P (needs --pdb, a file of 1AKI), 101 frames 0.2 ps apart   TRR and XTC
#   spce  SPC/E water in a 3.1 nm box, frames 10 ps apart                            TRR and XTC
#   water SPC/E water in a 7 nm box, frames 0.2 ps apart (only with --large)         TRR and XTC
#   cu    fcc copper, EAM, 32,000 atoms, frames 0.25 ps apart                        LAMMPS dump, in A
#   lj    Lennard-Jones melt (argon's sigma), 32,000 atoms                           LAMMPS dump, in sigma
# The dumps are sorted by atom. A system whose files are there is kept.
set -euo pipefail
usage() {
  echo "usage: $0 [--pdb 1AKI.pdb] [--threads N] [--large] [--only SYSTEM] DIRECTORY" >&2
  exit 2
}
pdb=
threads=1
large=
only=
while [ $# -gt 1 ]; do
  case $1 in
  --pdb) pdb=$(realpath "$2"); shift 2 ;;
  --threads) threads=$2; shift 2 ;;
  --large) large=1; shift ;;
  --only) only=$2; shift 2 ;;
  *) usage ;;
  esac
done
[ $# = 1 ] || usage
mkdir -p "$1"
cd "$1"

wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }
mdp() { # mdp STEPS OUTPUT-EVERY GENERATE-VELOCITIES > file
  cat <<END
integrator = md
dt = 0.002
nsteps = $1
nstxout = $2
nstxout-compressed = $2
nstlog = 5000
nstenergy = 5000
nstcalcenergy = 100
constraints = h-bonds
coulombtype = PME
rcoulomb = $4
rvdw = $4
tcoupl = v-rescale
tc-grps = System
tau-t = 0.5
ref-t = 300
gen-vel = $3
gen-seed = 7
gen-temp = 300
END
}
quiet() {
  if ! "$@" >>build.log 2>&1; then
    tail -20 build.log >&2
    echo "$0: $1 $2 failed; see $PWD/build.log" >&2
    exit 1
  fi
}
# run TOP START STEPS EVERY CUT-OFF EQUILIBRATION-STEPS: leaves md.trr and md.xtc
run() {
  printf 'integrator = steep\nnsteps = 100\nemtol = 500\ncoulombtype = PME\nrcoulomb = %s\nrvdw = %s\n' "$5" "$5" >em.mdp
  quiet gmx grompp -f em.mdp -c "$2" -p "$1" -o em.tpr -maxwarn 3
  quiet gmx mdrun -deffnm em -nt "$threads"
  mdp "$6" 0 yes "$5" >eq.mdp
  quiet gmx grompp -f eq.mdp -c em.gro -p "$1" -o eq.tpr -maxwarn 3
  quiet gmx mdrun -deffnm eq -nt "$threads"
  mdp "$3" "$4" no "$5" >md.mdp
  quiet gmx grompp -f md.mdp -c eq.gro -t eq.cpt -p "$1" -o md.tpr -maxwarn 3
  quiet gmx mdrun -deffnm md -nt "$threads"
}
spce_topology() { # spce_topology GRO > file
  printf '#include "oplsaa.ff/forcefield.itp"\n#include "oplsaa.ff/spce.itp"\n[ system ]\nwater\n[ molecules ]\nSOL %d\n' \
    $((($(sed -n 2p "$1")) / 3))
}

if [ -n "$pdb" ] && wanted lyso && [ ! -s lyso/md.trr ]; then
  mkdir -p lyso && cd lyso
  grep -v HOH "$pdb" >protein.pdb
  quiet gmx pdb2gmx -f protein.pdb -o protein.gro -ff amber99sb-ildn -water tip3p -ignh
  quiet gmx editconf -f protein.gro -o box.gro -c -d 1.0 -bt cubic
  quiet gmx solvate -cp box.gro -cs spc216.gro -o solvated.gro -p topol.top
  printf 'integrator = steep\nnsteps = 1\n' >ions.mdp
  quiet gmx grompp -f ions.mdp -c solvated.gro -p topol.top -o ions.tpr -maxwarn 3
  echo SOL | gmx genion -s ions.tpr -o start.gro -p topol.top -neutral -seed 7 >>build.log 2>&1
  run topol.top start.gro 10000 100 0.9 2500
  cd ..
fi
if wanted spce && [ ! -s spce/md.trr ]; then
  mkdir -p spce && cd spce
  quiet gmx solvate -cs spc216.gro -box 3.1 3.1 3.1 -o start.gro
  spce_topology start.gro >topol.top
  run topol.top start.gro 150000 5000 0.9 5000
  cd ..
fi
if [ -n "$large" ] && wanted water && [ ! -s water/md.trr ]; then
  mkdir -p water && cd water
  quiet gmx solvate -cs spc216.gro -box 7 7 7 -o start.gro
  spce_topology start.gro >topol.top
  run topol.top start.gro 5000 100 0.9 2500
  cd ..
fi
potentials=${EBB_LAMMPS_POTENTIALS:-/usr/share/lammps/potentials}
if wanted cu && [ ! -s cu/md.dump ]; then
  mkdir -p cu && cd cu
  cat >in.cu <<END
units metal
atom_style atomic
lattice fcc 3.615
region box block 0 20 0 20 0 20
create_box 1 box
create_atoms 1 box
pair_style eam
pair_coeff 1 1 $potentials/Cu_u3.eam
velocity all create 1600.0 376847 loop geom
neighbor 1.0 bin
neigh_modify every 1 delay 5 check yes
fix 1 all nve
timestep 0.005
run 200
dump 1 all custom 50 md.dump id x y z
dump_modify 1 sort id format float %.7f
run 5000
END
  quiet lmp -in in.cu
  cd ..
fi
if wanted lj && [ ! -s lj/md.dump ]; then
  mkdir -p lj && cd lj
  cat >in.lj <<END
units lj
atom_style atomic
lattice fcc 0.8442
region box block 0 20 0 20 0 20
create_box 1 box
create_atoms 1 box
mass 1 1.0
velocity all create 1.44 87287 loop geom
pair_style lj/cut 2.5
pair_coeff 1 1 1.0 1.0 2.5
neighbor 0.3 bin
neigh_modify delay 0 every 20 check no
fix 1 all nve
timestep 0.005
run 2000
dump 1 all custom 50 md.dump id x y z
dump_modify 1 sort id format float %.7f
run 5000
END
  quiet lmp -in in.lj
  cd ..
fi
ls -l ./*/md.* | awk '{print $5, $9}'
