# Sourced by the benchmarks: a server of their own, in a temporary folder, on loopback; what is in bench_started ends with them.
bench_work=$(mktemp -d)
bench_admin=bench_$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')
bench_started=() bench_agent=()
bench_serve=()
bench_stop() {
  local p
  for p in "${bench_started[@]}"; do kill "$p" 2>/dev/null || true; done
  for p in "${bench_started[@]}"; do wait "$p" 2>/dev/null || true; done
  [ -z "${bench_postgres:-}" ] || scripts/postgres remove "$bench_postgres"
  rm -rf "$bench_work"
}
trap bench_stop EXIT

# What a benchmark needs is there: packages, and the release build where TRUNKLINE_BIN names no other.
bench_begin() { scripts/deps bench; built TRUNKLINE_BIN trunkline --bin trunkline; }
built() { # VARIABLE FILE CARGO_ARGUMENT...: builds the program that the variable names, where it names none
  local -n named=$1
  [ -z "${named:-}" ] || return 0
  cargo build --release --locked "${@:3}"
  named=${CARGO_TARGET_DIR:-target}/release/$2
}

api() { # METHOD PATH [FILE with the JSON body] -> body; fails, showing the answer, on an error status
  local body=()
  [ $# -lt 3 ] || body=(-H 'content-type: application/json' --data-binary "@$3")
  curl -sS --fail-with-body -X "$1" -H "authorization: Bearer $bench_admin" \
    ${bench_organization:+-H "x-organization-id: $bench_organization"} "${body[@]}" "http://127.0.0.1:$server_http$2" ||
    { echo "$1 $2 failed" >&2; return 1; }
}
post() { # PATH JSON -> body
  printf '%s' "$2" >"$bench_work/body"
  api POST "$1" "$bench_work/body"
}

# A certificate for 127.0.0.1 and its authority: ca.pem, cert.pem and key.pem in a folder.
certificate() { # FOLDER
  local ca=(-CA "$1/ca.pem" -CAkey "$1/ca-key.pem") new=(-newkey rsa:2048 -nodes -days 2)
  openssl req -x509 "${new[@]}" -subj /CN=bench -keyout "$1/ca-key.pem" -out "$1/ca.pem" 2>/dev/null
  openssl req -x509 "${new[@]}" "${ca[@]}" -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:false \
    -keyout "$1/key.pem" -out "$1/cert.pem" 2>/dev/null
}

# A fresh database on a PostgreSQL of the benchmark's own, which is durable as an operator's is: sets bench_store.
postgres_start() {
  if [ -z "${bench_postgres:-}" ]; then
    bench_postgres=$(scripts/postgres new)
    bench_url=$(scripts/postgres start "$bench_postgres" fsync=on full_page_writes=on shared_buffers=1GB max_wal_size=4GB)
    # One that is set already has sealed what is copied here.
    export TRUNKLINE_SECRET_KEY=${TRUNKLINE_SECRET_KEY:-$(head -c 32 /dev/urandom | base64)}
  fi
  bench_databases=$((${bench_databases:-0} + 1))
  psql "$bench_url" -qc "CREATE DATABASE bench$bench_databases"
  bench_store=${bench_url%/*}/bench$bench_databases
}

# bench_serve, an array: more arguments for `serve`. With BENCH_POSTGRES=1 the store is a database, else a file.
node_start() { # HTTP_PORT SIP_PORT: one more node on the store; sets node_pid
  TRUNKLINE_ADMIN_KEY=$bench_admin TRUNKLINE_STORE=${bench_store:-sqlite:$bench_work/bench.db} "$TRUNKLINE_BIN" serve --http "127.0.0.1:$1" \
    --sip "udp:127.0.0.1:$2" --sip "tcp:127.0.0.1:$2" ${bench_store:+--data "$bench_work/node.$1"} "${bench_serve[@]}" >"$bench_work/log.$1" 2>&1 &
  node_pid=$!
  bench_started+=("$node_pid")
  local i
  for i in $(seq 2400); do
    kill -0 "$node_pid" 2>/dev/null || { cat "$bench_work/log.$1" >&2; return 1; }
    if curl -sf "http://127.0.0.1:$1/health/ready" >/dev/null 2>&1; then break; fi
    [ "$i" -lt 2400 ] || { echo "not ready" >&2; return 1; }
    sleep 0.05
  done
}
server_start() { # HTTP_PORT SIP_PORT: sets server_pid, server_http, server_sip, bench_organization
  server_http=$1 server_sip=$2
  [ -z "${BENCH_POSTGRES:-}" ] || postgres_start
  node_start "$1" "$2"
  server_pid=$node_pid
  bench_organization=$(post /api/v1/organizations '{"name":"bench"}' | jq -er .id)
}

# +14152000000 and so many after it, on a trunk that trusts 127.0.0.1; the endpoint is set once its address is known. An area has
# eight million valid numbers, the next ones are of the next area.
nth() { echo $(((415 + $1 / 8000000) * 10000000 + 2000000 + $1 % 8000000)); }
import_numbers() { # COUNT: sets bench_trunk, bench_endpoint
  local t0=$SECONDS at rows refused
  bench_trunk=$(post /api/v1/providers '{"kind":"sip_trunk","label":"bench","inbound":{"allowed_addresses":["127.0.0.1"]}}' | jq -er .id)
  bench_endpoint=$(post /api/v1/endpoints \
    '{"name":"bench","kind":"sip","environment":"live","targets":[{"uri":"sip:127.0.0.1:5080","priority":1,"weight":1,"enabled":true}]}' | jq -er .id)
  for ((at = 0; at < $1; at += 50000)); do
    rows=$(($1 - at < 50000 ? $1 - at : 50000))
    seq "$(nth "$at")" "$(nth $((at + rows - 1)))" |
      jq -cn --arg trunk "$bench_trunk" --arg endpoint "$bench_endpoint" \
        '{provider_id: $trunk, numbers: [inputs | {e164: "+1\(.)", endpoint_id: $endpoint}]}' >"$bench_work/rows"
    api POST /api/v1/numbers/import "$bench_work/rows" >"$bench_work/results"
    refused=$(jq '[.. | objects | select(has("error") and .error != null)] | length' "$bench_work/results")
    [ "$refused" -eq 0 ] || { head -c 600 "$bench_work/results" >&2; return 1; }
  done
  api GET "/api/v1/numbers/%2B1$(nth $(($1 - 1)))" | jq -e '.status == "active"' >/dev/null
  echo "$1 numbers imported in $((SECONDS - t0)) s"
}
# What callers dial, as bench/caller.xml reads it: 50,000 at most, in no order.
numbers_csv() { # FILE COUNT [FIRST] (0)
  { echo RANDOM; shuf -i "$((2000000 + ${3:-0}))-$((2000000 + $2 - 1))" -n 50000 | sed 's/$/;/'; } >"$1"
}
# An agent that answers at 127.0.0.1:5080.
agent_start() { # [FILE (bench/agent.xml)] [SIPp's transport (u1)] [what it runs under ...]; with the options in bench_agent
  "${@:3}" sipp -sf "${1:-bench/agent.xml}" -t "${2:-u1}" -i 127.0.0.1 -p 5080 "${bench_agent[@]}" -nostdin >/dev/null 2>&1 & bench_started+=("$!")
}
tick=$(getconf CLK_TCK)
# CPU time of a process and its children so far, in ticks.
cpu() { local t=0 p s; for p in "$1" $(pgrep -P "$1" || true); do s=$(awk '{print $14+$15}' "/proc/$p/stat"); t=$((t + s)); done; echo "$t"; }
trunk_calls_go_to() { # SIP_URI
  printf '{"targets":[{"uri":"%s","priority":1,"weight":1,"enabled":true}]}' "$1" >"$bench_work/body"
  api PATCH "/api/v1/endpoints/$bench_endpoint" "$bench_work/body" >/dev/null
}
