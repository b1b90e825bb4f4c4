#!/bin/sh
# Restarts containerd when a directory changes, as k0s does.
list() { ls -l --full-time "@watched@"; }
known=$(list)
while sleep 0.2; do
  now=$(list)
  [ "$now" = "$known" ] || { known=$now; service; }
done
