#!/bin/sh
# npm test: everything that must hold. Installs what is missing first. The last line is `N passed, N failed`, whichever step ends it.
# --full adds the long scenarios; other arguments go to vitest.
cd "$(dirname "$0")/.." || exit 1
if [ "${1:-}" = --full ]; then
  shift
  MILLRACE_FULL=1
  export MILLRACE_FULL
fi

ends_here() {
  echo "npm test: $1" >&2
  echo "0 passed, 1 failed"
  exit 1
}

sh tools/setup-packages.sh || ends_here "the packages could not be installed"
PATH="$PWD/node_modules/.bin:$PATH"
export PATH
node tools/setup-nats.mjs || ends_here "there is no nats-server to test with"
sh test/tools/setup-triton.sh || ends_here "there is no Triton to test with"
npm run --silent check || ends_here "a check failed; npm run format repairs the format"
exec vitest run "$@"
