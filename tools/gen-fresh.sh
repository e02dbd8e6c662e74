#!/bin/sh
# Generated code is fresh: what is generated now is what is committed or staged.
made="proto/gen core/edge/descriptors.gen.ts"
# shellcheck disable=SC2086 # two paths
buf generate && sh tools/gen-descriptors.sh && git diff --exit-code --stat -- $made && test -z "$(git ls-files --others --exclude-standard $made)" ||
  { echo "generated code is stale: run npm run gen and commit $made" >&2; exit 1; }
