#!/bin/sh
# Renders the configuration, restarts the node's containerd and records the restart, as systemd and the distribution do.
# If /etc/broken exists, containerd does not start with the runtime, as on a node whose kernel cannot run it.
echo restart >>/run/restarts
old=$(cat /run/pid 2>/dev/null)
if [ -n "$old" ] && kill "$old" 2>/dev/null; then
  while kill -0 "$old" 2>/dev/null; do sleep 0.05; done
fi
@render@
if [ -e /etc/broken ] && grep -rqs preopen "@config@" /etc/containerd; then exit 0; fi
containerd --config "@config@" --address "@socket@" >>/run/containerd.log 2>&1 </dev/null &
echo $! >/run/pid
