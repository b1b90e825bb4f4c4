#!/usr/bin/env bash
# bundle.sh TINY BUNDLE: creates a bundle in which the dynamically linked program TINY finds its libraries. PROCESS and MOUNT
# add to the sections process and mounts of config.json. CWD is the working directory.
set -euo pipefail
tiny=$1 bundle=$2
mkdir -p "$bundle"/rootfs/{dev,etc,proc,sys,tmp}
for library in $(ldd "$tiny" | grep -o '/[^ ]*'); do
    mkdir -p "$bundle/rootfs${library%/*}"
    cp -L "$library" "$bundle/rootfs$library"
done
cat > "$bundle/config.json" <<JSON
{
  "ociVersion": "1.0.2",
  "root": { "path": "rootfs" },
  "process": { "user": { "uid": 0, "gid": 0 }, "args": ["tiny"], "cwd": "${CWD:-/}" ${PROCESS:-} },
  "mounts": [
    { "destination": "/proc", "type": "proc", "source": "proc" },
    { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" },
    { "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"] }
    ${MOUNT:-}
  ],
  "linux": {
    "cgroupsPath": "/tiny",
    "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }, { "type": "network" }]
  }
}
JSON
