# shellcheck shell=bash
# What install, kafka and azurite share. Sourced, never run.
#
# Words. A tool is a folder of .tools whose name carries its version, so that a new version is a new folder; it appears
# whole, by one rename. A server is a process with a folder of its own: pid, log, ports, data. Its ports are the kernel's
# choice at the first start and stay the same after that, because its clients keep them.
set -euo pipefail

dev=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Used by the scripts that source this.
# shellcheck disable=SC2034
{
  tools=$(cd "$dev/../.." && pwd)/.tools
  KAFKA=4.3.0 SLF4J=1.7.36
  AZURITE=3.37.0
  COSMOS_JAVA=4.80.0 COSMOS_JS=4.9.3 COSMOS_PYTHON=4.17.1
  SPARK_DELTA=io.delta:delta-spark_4.2_2.13:4.4.0
}

say() { echo "${0##*/}: $*" >&2; }
die() { say "$@"; exit 1; }

# need COMMAND LEAST FOR: the command must be there and its version no older.
need() {
  local command=$1 least=$2 for=$3 found
  command -v "$command" >/dev/null ||
    die "$for needs $command, version $least or newer, and there is none on the PATH. Install it and run this again."
  case $command in
    java) found=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p') ;;
    node) found=$(node --version | sed 's/^v\([0-9]*\).*/\1/') ;;
    python3) found=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])') ;;
    *) return 0 ;;
  esac
  [[ $(printf '%s\n' "$least" "$found" | sort -V | head -1) == "$least" ]] ||
    die "$for needs $command, version $least or newer; $(command -v "$command") is ${found:-of an unknown version}."
}

# free_ports N: that many ports that nobody uses, told by the kernel.
free_ports() {
  if command -v python3 >/dev/null; then
    python3 -c 'import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*[s.getsockname()[1] for s in held])' "$1"
  elif command -v perl >/dev/null; then
    perl -MIO::Socket::INET -e '@held = map { IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1:0") } 1..$ARGV[0];
      print join(" ", map { $_->sockport } @held), "\n"' "$1"
  else
    die "python3 or perl is needed to ask the kernel for free ports."
  fi
}

# running FOLDER: the process in FOLDER/pid lives, and is the one that was started there (numbers are used again).
running() {
  local pid
  [[ -s $1/pid ]] && pid=$(<"$1/pid") && kill -0 "$pid" 2>/dev/null &&
    ps -ww -o args= -p "$pid" 2>/dev/null | grep -qF -- "$1"
}

# launch FOLDER COMMAND…: the command in the background, in a process group of its own, and its process id in FOLDER/pid.
# FOLDER must stand in the command, see running.
launch() {
  local folder=$1
  shift
  if [[ -e $folder/log ]]; then mv "$folder/log" "$folder/log.before"; fi
  set -m # a group of its own: Ctrl-C on the caller does not reach it
  : >"$folder/log"
  nohup "$@" </dev/null >"$folder/log" 2>&1 &
  echo $! >"$folder/pid"
  set +m
}

# await FOLDER SECONDS TEST…: tries the test until it holds; ends with the log when the process died or the time is up.
await() {
  local folder=$1 until=$((SECONDS + $2))
  shift 2
  until "$@"; do
    running "$folder" || { tail -n 20 "$folder/log" >&2; die "the process of $folder ended; its log is $folder/log"; }
    ((SECONDS < until)) || { tail -n 20 "$folder/log" >&2; die "$folder did not answer in time; its log is $folder/log"; }
    sleep 0.1
  done
}

# halt FOLDER…: ends the processes of these folders, together, and waits for their end; no error where there is none.
halt() {
  local folder pid until=$((SECONDS + 15))
  local -a pids=()
  for folder in "$@"; do
    if running "$folder"; then
      pids+=("$(<"$folder/pid")")
      kill "${pids[-1]}" 2>/dev/null || true
    fi
  done
  for pid in "${pids[@]}"; do
    while kill -0 "$pid" 2>/dev/null; do
      # The last node of a cluster waits for the others, which are gone.
      if ((SECONDS >= until)); then kill -9 "$pid" 2>/dev/null || true; fi
      sleep 0.05
    done
  done
  for folder in "$@"; do rm -f "$folder/pid"; done
}
