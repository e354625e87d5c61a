#!/usr/bin/env bash
# A real Slurm, for the tests of suites in a cluster (make test-cluster).
set -uo pipefail
. "$(dirname "$0")/debian.sh"
debian_programs Slurm "munged slurmctld slurmd sbatch squeue scontrol srun" \
  "slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge" 120
