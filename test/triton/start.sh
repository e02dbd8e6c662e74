#!/bin/sh
# Starts the Triton that setup-triton.sh put into the cache, on loopback, with the models beside this script.
# usage: start.sh HTTP_PORT GRPC_PORT METRICS_PORT [more arguments of tritonserver]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${MILLRACE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace}/triton
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
server=$site/pytriton/tritonserver
# The python backend's stub finds libpython and the packages by these.
LD_LIBRARY_PATH=$("$venv/bin/python" -c 'import sys; print(sys.base_prefix)')/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
PATH=$venv/bin:$PATH PYTHONPATH=$site
export LD_LIBRARY_PATH PATH PYTHONPATH
unset PYTHONHOME
# Two servers on one host must not share the names of their shared-memory regions.
http=$1 grpc=$2 metrics=$3
shift 3
exec "$server/bin/tritonserver" --model-repository="$here/models" \
  --backend-directory="$server/backends" --cache-directory="$server/caches" \
  --backend-config="python,shm-region-prefix-name=millrace_$$" \
  --backend-config=python,shm-default-byte-size=8388608 --backend-config=python,shm-growth-byte-size=1048576 \
  --http-address=127.0.0.1 --http-port="$http" --grpc-address=127.0.0.1 --grpc-port="$grpc" \
  --metrics-address=127.0.0.1 --metrics-port="$metrics" --allow-gpu-metrics=false --exit-timeout-secs=1 "$@"
