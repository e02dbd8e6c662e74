#!/bin/sh
# npm start: installs what is missing and runs the whole mesh on this machine. Arguments go to it: npm start -- --once
cd "$(dirname "$0")/.." || exit 1
sh tools/setup-packages.sh || exit
# exec, so that the signals that npm forwards reach the mesh itself.
exec ./millrace up "$@"
