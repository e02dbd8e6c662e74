#!/bin/sh
# Installs the packages of package-lock.json where they are missing or older than it. A second run ends at once.
set -eu
cd "$(dirname "$0")/.."
installed=node_modules/.package-lock.json
[ -f "$installed" ] && [ ! package-lock.json -nt "$installed" ] && exit 0
command -v npm >/dev/null || { echo "millrace: npm is missing; install Node.js (https://nodejs.org) and try again" >&2; exit 69; }
echo "millrace: installing packages (npm ci)" >&2
# To stderr: stdout belongs to what runs afterwards.
npm ci --no-audit --no-fund >&2
