#!/bin/sh
# npm run fuzz: random cases for as long as it is told. Arguments go to it: npm run fuzz -- --target engine --minutes 10
cd "$(dirname "$0")/.." || exit 1
sh tools/setup-packages.sh || exit
# exec, so that Ctrl-C reaches it; --expose-gc, so that the heap that it shows is what is kept.
exec node_modules/.bin/node --expose-gc test/fuzz/main.ts "$@"
