#!/usr/bin/env bash
# Seal a data set with a Slurm array: every task seals a part, and the last one writes the manifest.
#
#   sbatch --array=0-63 --cpus-per-task=8 tools/slurm_seal.sh --img-dir images --ann boxes.json \
#       --out sealed/train --scheme mix+shuffle --key-file owner.key
#
# The output folder and the key have to be on a file system that all nodes see. A task that was
# killed, or requeued, goes on where it was: submit the same line again.
#SBATCH --job-name=mmppvit-seal
#SBATCH --requeue
set -euo pipefail

: "${SLURM_ARRAY_TASK_COUNT:?submit this with sbatch --array=0-N}"
if [ "${SLURM_ARRAY_TASK_MIN:-0}" != 0 ] || [ "${SLURM_ARRAY_TASK_STEP:-1}" != 1 ]; then
    # Some parts only: the count of all has to be given.
    : "${MMPPVIT_SHARDS:?set MMPPVIT_SHARDS to the number of all parts}"
fi
exec mmppvit seal "$@" --resume \
    --shard "$SLURM_ARRAY_TASK_ID/${MMPPVIT_SHARDS:-$SLURM_ARRAY_TASK_COUNT}" \
    --num-workers "${SLURM_CPUS_PER_TASK:-1}"
