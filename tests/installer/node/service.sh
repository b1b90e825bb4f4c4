#!/bin/sh
# Restarts a node's containerd, and notes that it did: the part of systemd and of the distribution.
# A node on which /etc/broken is does not come back with the runtime, as if it were one that its kernel cannot run.
echo restart >>/run/restarts
old=$(cat /run/pid 2>/dev/null)
if [ -n "$old" ] && kill "$old" 2>/dev/null; then
  while kill -0 "$old" 2>/dev/null; do sleep 0.05; done
fi
@render@
if [ -e /etc/broken ] && grep -rqs preopen "@config@" /etc/containerd; then exit 0; fi
containerd --config "@config@" --address "@socket@" >>/run/containerd.log 2>&1 </dev/null &
echo $! >/run/pid
