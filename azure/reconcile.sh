#!/usr/bin/env bash
# Audits the archive against ACS's own log of recordings.
set -euo pipefail
# shellcheck source=deploy/stack.sh
. "$(dirname "$0")/../deploy/stack.sh"

usage() {
    cat <<'END'
Audits the archive against ACS's own log of recordings, and so finds what was never archived while
ACS still has it. Writes nothing but, if asked, a metric.

Usage: azure/reconcile.sh --workspace ID --bucket BUCKET [--work-bucket BUCKET] [--prefix PREFIX]
           [--hours HOURS] [--format table|json|html] [--metric INSTALLATION]

  --workspace ID         the Log Analytics workspace of ACS's log: its workspace id, a GUID
  --bucket BUCKET        the archive, RecordingsBucketName of the stack
  --work-bucket BUCKET   the unfinished work, WorkBucketName of the stack
  --prefix PREFIX        RecordingsPrefix of the stack; recordings/ by default
  --hours HOURS          the hours of the log to read, up to now; 24 by default
  --format FORMAT        table by default; html is a page to look at and to print
  --metric INSTALLATION  put the metric NeverArchived, with this value of the dimension Installation

Needs jq; az with its extension log-analytics, signed in as someone who may query the workspace (Log
Analytics Reader); and AWS credentials that may read both buckets, and for the metric
cloudwatch:PutMetricData. The audit is $AUDIT; by default that of this checkout, which needs Rust.

Exit status: that of the audit: 0 in order, 1 findings, 2 if the log is empty, or the log or the
archive could not be read.
END
}

fail() {
    echo "reconcile: $1" >&2
    exit 2
}

workspace="" bucket="" hours=24 format=table metric="" audit=()
while (($#)); do
    case $1 in
    -h | --help) usage && exit ;;
    --workspace | --bucket | --work-bucket | --prefix | --hours | --format | --metric) (($# > 1)) ||
        fail "$1 needs a value" ;;
    *) fail "unknown option $1; see --help" ;;
    esac
    case $1 in
    --workspace) workspace=$2 ;;
    --bucket) bucket=$2 && audit+=("$1" "$2") ;;
    --hours) hours=$2 ;;
    --format) format=$2 ;;
    --metric) metric=$2 ;;
    *) audit+=("$1" "$2") ;;
    esac
    shift 2
done
[[ $workspace && $bucket ]] || fail "--workspace and --bucket are required; see --help"
[[ $hours =~ ^[1-9][0-9]{0,4}$ ]] || fail "--hours must be a whole number"
[[ $format == table || $format == json || $format == html ]] || fail "--format is table, json or html"
need_tools az jq ${metric:+aws} || exit 2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

query="ACSCallRecordingSummary | where TimeGenerated > ago(${hours}h)
| project RecordingId, RecordingStartTime, RecordingLength, ChunkCount, TimeGenerated, RecordingEndReason, CorrelationId"
az monitor log-analytics query --workspace "$workspace" --analytics-query "$query" --timespan "PT${hours}H" \
    --only-show-errors --output json > "$work/log.json" || 
    fail "the log cannot be read: is az signed in, and is ID the workspace's own id?"

# Without a row there are no days, and an audit of all days would answer another question.
(($(jq length "$work/log.json"))) || fail "the log has no recording of the last $hours hours: \
does ACS's diagnostic setting write to this workspace? If there was no call, give more --hours"

# Only the days of the log's recordings, and one on each side: the archive may hold years.
days=()
first=$(jq --raw-output '[.[].RecordingStartTime // empty | .[:10]] | min // empty' "$work/log.json")
last=$(jq --raw-output '[.[].RecordingStartTime // empty | .[:10]] | max // empty' "$work/log.json")
if [[ $first && $last ]]; then
    day() { jq --null-input --raw-output --arg day "$1" --argjson by "$2" '$day + "T00:00:00Z" | fromdate + 86400 * $by | todate[:10]'; }
    days=(--from "$(day "$first" -1)" --to "$(day "$last" 1)")
fi

run() {
    if [[ ${AUDIT:-} ]]; then
        "$AUDIT" "${audit[@]}" ${days[@]+"${days[@]}"} --against "$work/log.json" "$@"
    else
        cargo run --quiet --release --manifest-path "$(dirname "$0")/../Cargo.toml" --bin audit -- \
            "${audit[@]}" ${days[@]+"${days[@]}"} --against "$work/log.json" "$@"
    fi
}

if [[ $metric ]]; then
    status=0
    run --format json > "$work/report.json" || status=$?
    ((status < 2)) || exit "$status"
    # An unsure match may be a missing recording.
    missing=$(jq '.against.totals | .neverArchived + .unsure' "$work/report.json")
    aws cloudwatch put-metric-data --namespace AcsRecordingArchiver --metric-name NeverArchived --unit Count \
        --value "$missing" --dimensions "Installation=$metric" || fail "the metric cannot be put"
    if [[ $format == json ]]; then
        cat "$work/report.json"
        exit "$status"
    fi
fi
run --format "$format"
