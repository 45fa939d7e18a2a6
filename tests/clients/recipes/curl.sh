#!/bin/sh
# curl: it reads one response. This leaves the answer's events in the file "answer".
set -eu
# ---
id='' && : >answer
until grep -qx 'data: \[DONE\]' answer; do
  : >part
  code=$(curl -sN "$1" -H "Last-Event-ID: $id" -o part -w '%{http_code}') || true
  case $code in 200 | 000 | 429 | 5??) ;; *) echo "status $code" >&2 && exit 1 ;; esac
  [ "$code" != 200 ] || awk '/^(id|data): /{e = e $0 "\n"} /^$/{if (e) print e; e = ""}' part >>answer
  id=$(sed -n 's/^id: //p' answer | tail -n 1)
  sleep 1
done
# ---
