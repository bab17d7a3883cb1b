#!/bin/sh
# Damage and hostile input without a pause: mutated evidence beside parsers, boxes, verifiers and wire, with new seeds each time.
#   fuzz.sh VENV SECONDS TEST_FILE...
# Ends at the first failure, which says how to repeat it; HYPOTHESIS_EXAMPLES is how many each test tries in a round (500).
set -eu
venv=$1 seconds=$2
shift 2

seed=$(date +%s)
end=$((seed + seconds))
said=$(mktemp)
"$venv/bin/vedette" sim mutate --seed "$seed" --seconds "$seconds" >"$said" 2>&1 &
mutating=$!
trap 'kill "$mutating" 2>/dev/null || true; rm -f "$said"' EXIT
trap 'exit 130' INT TERM

export HYPOTHESIS_PROFILE=long HYPOTHESIS_EXAMPLES="${HYPOTHESIS_EXAMPLES:-500}"
round=0
while [ "$(date +%s)" -lt "$end" ]; do
    round=$((round + 1))
    printf 'fuzz: round %d of parsers and wire, %d s left\n' "$round" "$((end - $(date +%s)))"
    "$venv/bin/python" -m pytest -q -o timeout=0 -p no:cacheprovider "$@"
done

status=0
wait "$mutating" || status=$?
printf 'fuzz: vedette sim mutate --seed %d --seconds %d\n' "$seed" "$seconds"
cat "$said"
exit "$status"
