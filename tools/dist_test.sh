#!/usr/bin/env bash
# Evaluate with NUM processes: tools/dist_test.sh CONFIG CHECKPOINT NUM [options of tools/test.py]
# Several machines: NNODES=2 NODE_RANK=0|1 MASTER_ADDR=... PORT=... on each of them.
set -euo pipefail
CONFIG=${1:?CONFIG}; CHECKPOINT=${2:?CHECKPOINT}; NUM=${3:?number of processes per machine}; shift 3
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$NUM" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "$@"
