#!/usr/bin/env bash
# What action.yml runs: `camp-bench check` with options from the environment. Each line of a list is one word, whatever
# it holds.
set -euo pipefail

if [ "${CHECK_INSTALL:-true}" = true ]; then
  python -m pip install --quiet "$GITHUB_ACTION_PATH" -c "$GITHUB_ACTION_PATH/constraints.txt"
fi

options=("--baseline=$CHECK_BASELINE" --github)
each() { # OPTION LINES: the option with a value for every line that isn't empty
  local line
  while IFS= read -r line; do
    if [ -n "$line" ]; then options+=("$1=$line"); fi
  done <<<"$2"
}
each --metric "${CHECK_METRICS:-}"
each --fail "${CHECK_FAIL:-}"
each --floor "${CHECK_FLOORS:-}"
each --tolerance "${CHECK_TOLERANCE:-}"
each --alpha "${CHECK_ALPHA:-}"
each --junit "${CHECK_JUNIT:-}"
each --markdown "${GITHUB_STEP_SUMMARY:-}"
if [ "${CHECK_SAME_CHECKPOINT:-false}" = true ]; then options+=(--same-checkpoint); fi
if [ "${CHECK_PROVE:-false}" = true ]; then options+=(--prove); fi
if [ "${CHECK_STRICT:-false}" = true ]; then options+=(--strict); fi

runs=()
while IFS= read -r line; do
  if [ -n "$line" ]; then runs+=("$line"); fi
done <<<"${CHECK_RUNS:-}"
exec camp-bench check "${options[@]}" -- ${runs[@]+"${runs[@]}"}
