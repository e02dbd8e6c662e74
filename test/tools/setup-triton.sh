#!/bin/sh
# Puts a real Triton Inference Server, its Python client and perf_analyzer into the user's cache. Nothing else on the machine is changed.
# A second run sees from the stamps that all is there and ends at once; a run that was cut off is begun anew.
set -eu

cache=${MILLRACE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace}
# A CPU build of tritonserver with its python backend is inside the pytriton wheel; the python backend of that time wants numpy 1.
server_packages='nvidia-pytriton==0.7.0 tritonclient[grpc,http]==2.73.0 numpy<2'
# The last perf_analyzer that comes in a wheel; it is linked against CUDA's runtime, though it uses no GPU here.
perf_packages='tritonclient==2.41.0 nvidia-cuda-runtime-cu12'

say() { printf 'triton: %s\n' "$1" >&2; }
fail() {
  say "$1"
  exit 1
}

[ "$(uname -s) $(uname -m)" = 'Linux x86_64' ] ||
  fail "the Triton wheel is for Linux on x86-64, and this is $(uname -s) $(uname -m); run these tests in such a machine or container"

find_python() {
  for candidate in python3 python3.12 python3.11 python3.10; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail 'no Python 3.10, 3.11 or 3.12 on PATH; install one (Debian and Ubuntu: apt-get install python3 python3-venv) and try again'
}

# make_venv FOLDER PACKAGES: the stamp holds what was installed, so that a changed list is installed anew.
make_venv() {
  [ "$(cat "$1/stamp" 2>/dev/null)" = "$2" ] && return
  python=$(find_python)
  say "installing $2 into $1 (once, about a minute)"
  rm -rf "$1"
  "$python" -m venv "$1" >&2 ||
    fail "$python cannot make a virtual environment with pip; install its venv package (Debian and Ubuntu: apt-get install python3-venv) and try again"
  # The list is words on purpose.
  # shellcheck disable=SC2086
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check $2 >&2 ||
    fail "pip could not install $2; see its message above (a package index must be reachable on the first run)"
  printf '%s' "$2" >"$1/stamp"
}

site_of() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }

# The wheel keeps one stub for each Python version; the python backend looks for its own beside the library.
place_stub() {
  backend=$(site_of "$cache/triton")/pytriton/tritonserver/backends/python
  [ -x "$backend/triton_python_backend_stub" ] && return
  version=$("$cache/triton/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  install -m 755 "$backend/../../python_backend_stubs/$version/triton_python_backend_stub" "$backend/" ||
    fail "the Triton wheel has no python backend for Python $version; put Python 3.11 first on PATH, remove $cache/triton and try again"
}

# perf_analyzer is linked against libb64, which no wheel carries. The package is unpacked into the cache, never installed.
place_libb64() {
  if ldconfig -p 2>/dev/null | grep -q 'libb64\.so\.0d' || [ -e "$cache/perf/lib64/libb64.so.0d" ]; then return; fi
  unpacked=$cache/perf/libb64
  mkdir -p "$unpacked"
  (
    cd "$unpacked"
    apt-get -qq download libb64-0d || { [ "$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq download libb64-0d; }
  ) >&2 || fail 'perf_analyzer needs libb64.so.0d; install it (Debian and Ubuntu: apt-get install libb64-0d) and try again'
  dpkg-deb -x "$unpacked"/libb64-0d_*.deb "$unpacked"
  find "$unpacked" -name 'libb64.so.0d*' -exec cp -P {} "$cache/perf/lib64/" \;
}

mkdir -p "$cache"
# Two test runs at once: the second waits, then finds everything there.
exec 9>"$cache/triton.lock"
flock 9
make_venv "$cache/triton" "$server_packages"
place_stub
make_venv "$cache/perf" "$perf_packages"
place_libb64
