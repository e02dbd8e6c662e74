#!/bin/sh
# npm run bench: Millrace beside other proxies on this machine. Arguments go to it: npm run bench -- --which millrace,envoy --scenarios real
cd "$(dirname "$0")/.." || exit 1
sh tools/setup-packages.sh || exit
# exec, so that Ctrl-C and the signals that npm forwards reach the benchmark itself.
exec node_modules/.bin/node test/bench/run.ts "$@"
