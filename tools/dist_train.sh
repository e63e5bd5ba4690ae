#!/usr/bin/env bash
# Train with NUM processes: tools/dist_train.sh CONFIG NUM [options of tools/train.py]
# Several machines: NNODES=2 NODE_RANK=0|1 MASTER_ADDR=... PORT=... on each of them.
set -euo pipefail
CONFIG=${1:?CONFIG}; NUM=${2:?number of processes per machine}; shift 2
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$NUM" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "$@"
