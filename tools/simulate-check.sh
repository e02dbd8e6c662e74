#!/bin/sh
# npm run simulate:check: the simulation beside real processes, some minutes on a quiet machine. Arguments are scenarios: npm run simulate:check -- steady
cd "$(dirname "$0")/.." || exit 1
sh tools/setup-packages.sh || exit
PATH="$PWD/node_modules/.bin:$PATH"
export PATH
node tools/setup-nats.mjs || exit
# exec, so that Ctrl-C and the signals that npm forwards reach the run itself.
exec node test/simulate/check.ts "$@"
