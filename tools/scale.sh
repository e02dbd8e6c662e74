#!/bin/sh
# npm run scale: one control plane on this machine under the reports of a whole fleet. Arguments go to it: npm run scale -- --quick
cd "$(dirname "$0")/.." || exit 1
sh tools/setup-packages.sh || exit
PATH="$PWD/node_modules/.bin:$PATH"
export PATH
node tools/setup-nats.mjs || exit
# exec, so that Ctrl-C and the signals that npm forwards reach the run itself.
exec node test/scale/run.ts "$@"
