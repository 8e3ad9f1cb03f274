#!/usr/bin/env bash
# From a fresh Debian 12 with Node.js to a running engine with a container that serves a page. Calling it again is harmless.
set -euo pipefail
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib.sh"
cd "$PROJECT"
require_root

# shellcheck disable=SC2086 # a list of words
install_packages $ENGINE_PACKAGES
install_node_packages
build

gantry=$PROJECT/deploy/gantry
say 'the engine'
"$gantry" up

image=busybox
if [ -z "$("$gantry" images --quiet "$image")" ]; then
  say "making the image $image"
  tree=$(mktemp -d)
  trap 'rm -rf "$tree"' EXIT
  busybox_tree "$tree"
  tar -C "$tree" -c . | "$gantry" import --change 'CMD ["sh"]' --change 'ENV PATH=/bin' - "$image"
fi

name=gantry-hello
if [[ $'\n'$("$gantry" ps)$'\n' != *" $name"$'\n'* ]]; then
  say "running a container that serves a page: $name"
  "$gantry" run -d --rm --name "$name" -p 127.0.0.1::80 "$image" \
    sh -c 'mkdir -p /www; echo "Hello from a Gantry container." > /www/index.html; echo serving; exec httpd -f -v -p 80 -h /www'
fi
address=$("$gantry" ps | sed -n "s/.* \(127\.0\.0\.1:[0-9]*\)->80\/tcp.* $name\$/\1/p")
[ -n "$address" ] || die "$name publishes no port: $("$gantry" ps)"

say "its page, http://$address/"
for attempt in $(seq 50); do
  curl -sS --max-time 5 "http://$address/" && break
  [ "$attempt" != 50 ] || die "no answer from http://$address/"
  sleep 0.1 # the server in the container is still starting
done
say 'the containers'
"$gantry" ps
say "what $name wrote"
"$gantry" logs "$name"

socket=$("$gantry" status --json | sed -n 's/^  "socket": "\(.*\)",$/\1/p')
cat <<END

The engine is running. Point any Docker client at it:
  export DOCKER_HOST=unix://$socket
  docker run --rm $image echo hello
SDKs read DOCKER_HOST too. Without a docker command: $gantry run|ps|logs --help
Stop the engine (containers go on): $gantry down
END
