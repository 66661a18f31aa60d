#!/usr/bin/env bash
# Posts the events of a dead-letter container to the function again.
set -euo pipefail
# shellcheck source=deploy/stack.sh
. "$(dirname "$0")/../deploy/stack.sh"

usage() {
    cat <<'END'
Posts the events that Event Grid gave up on to the function again, file by file, and shows each
answer. It is always safe to do so again. Nothing is deleted unless asked.

Usage: WEBHOOK_SECRET=… azure/replay-dead-letters.sh --url URL --account ACCOUNT
           [--container NAME] [--prefix PREFIX] [--delete] [--dry-run]

  --url URL           the function's URL, FunctionUrl of the stack
  --account ACCOUNT   the storage account of the dead letters
  --container NAME    their container; dead-letters by default
  --prefix PREFIX     only files whose names begin so: ARCHIVE-RECORDINGS/2026/11/23
  --delete            delete each file whose events the function has taken (200 or 202)
  --dry-run           list the files, post nothing

Needs curl, and az, signed in as someone who may read the container (Storage Blob Data Reader) or,
with --delete, write it (Storage Blob Data Contributor).

Exit status: 0 if the function took all of them, 1 if not, 2 for a wrong option.
END
}

fail() {
    echo "replay-dead-letters: $1" >&2
    exit "${2:-1}"
}

url="" account="" container=dead-letters prefix="" delete="" dry_run=""
while (($#)); do
    case $1 in
    -h | --help) usage && exit ;;
    --delete) delete=yes && shift && continue ;;
    --dry-run) dry_run=yes && shift && continue ;;
    --url | --account | --container | --prefix) (($# > 1)) || fail "$1 needs a value" 2 ;;
    *) fail "unknown option $1; see --help" 2 ;;
    esac
    case $1 in
    --url) url=$2 ;;
    --account) account=$2 ;;
    --container) container=$2 ;;
    --prefix) prefix=$2 ;;
    esac
    shift 2
done
[[ $url && $account ]] || fail "--url and --account are required; see --help" 2
[[ $url == https://* ]] || fail "--url must be https: the secret goes there" 2
[[ $dry_run || ${WEBHOOK_SECRET:-} ]] || fail "WEBHOOK_SECRET is not set; see --help" 2
need_tools az curl

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

blob() {
    local verb=$1
    shift
    az storage blob "$verb" --account-name "$account" --container-name "$container" \
        --auth-mode login --only-show-errors "$@"
}

blob list --prefix "$prefix" --num-results '*' --query '[].name' --output tsv >"$work/names"
total=$(grep -c . "$work/names" || true)
echo "$total files in $account/$container"

number=0 taken=0
# On a descriptor of its own, so that no command in the loop reads the names.
while IFS= read -r name <&3; do
    number=$((number + 1))
    # A name of somebody else must not reach the terminal with control characters.
    shown=${name//[[:cntrl:]]/?}
    if [[ $dry_run ]]; then
        echo "[$number/$total] $shown"
        continue
    fi
    blob download --name "$name" --file "$work/events.json" --no-progress --output none
    # The secret through a pipe: other users see arguments in the list of processes.
    status=$(curl --silent --show-error --max-time 120 \
        --config <(printf 'header = "x-webhook-secret: %s"\n' "$WEBHOOK_SECRET") \
        --header 'content-type: application/json' --data-binary "@$work/events.json" \
        --output "$work/answer" --write-out '%{http_code}' "$url") || status="no answer"
    answer=$(cat "$work/answer" 2>/dev/null || true)
    echo "[$number/$total] $shown: $status ${answer//[[:cntrl:]]/?}"
    rm -f "$work/answer"
    case $status in
    200 | 202)
        taken=$((taken + 1))
        [[ ! $delete ]] || blob delete --name "$name" --output none
        ;;
    401) fail "the function does not know this secret" ;;
    413) echo "    over 1 MiB: post its events one by one (jq -c '.[]')" ;;
    esac
done 3<"$work/names"

[[ $dry_run ]] && exit
echo "$taken of $total taken"
((taken == total))
