# shellcheck shell=bash disable=SC2034 # The commands of RUNBOOK.md use the variables.
# The variables and functions that the commands of RUNBOOK.md use. To be sourced.

runbook_usage() {
    cat <<'END'
Sets the variables and defines the functions that the commands of RUNBOOK.md use, for one stack.
Changes nothing by itself.

Usage: source deploy/runbook.sh [STACK]

  STACK   the CloudFormation stack; acs-recording-archiver by default

Needs bash, curl, jq, and the AWS command line signed in to the stack's account and region.

Sets STACK, PREFIX, FUNCTION_URL, BUCKET (the archive), WORK (the work bucket), ARCHIVER and SWEEPER
(the functions), LOG_GROUP, WEBHOOK_SECRET_ARN and CONNECTION_SECRET_ARN (empty with Entra tokens).

  output NAME               prints an output of the stack
  parameter NAME            prints a parameter of the stack
  set_parameter NAME VALUE  changes a parameter of the stack, without a build
  resource NAME             prints the physical name of a resource of the stack
  insights HOURS [QUERY]    runs a query of CloudWatch Logs Insights over the last hours; without
                            QUERY, that of the standard input
  pending [COUNT]           lists pending events, oldest first, each with its last attempt; 20 by
                            default
  post < FILE               posts an event to the function
  webhook_secret            prints the webhook secret in use
  read_secret ARN           prints the text of a secret
  write_secret ARN < FILE   replaces the text of a secret
  use_acs GROUP NAME        sets GROUP, ACS_NAME, ACS_RESOURCE_ID and ACCOUNT (of the dead letters)
                            for a Communication Services resource in its group; needs az, signed in
END
}

set_parameter() {
    local parameters
    parameters=$(aws cloudformation describe-stacks --stack-name "$STACK" \
        --query 'Stacks[0].Parameters' --output json) || return
    jq --exit-status --arg name "$1" 'any(.ParameterKey == $name)' <<<"$parameters" >/dev/null ||
        { echo "stack $STACK has no parameter $1" >&2 && return 1; }
    parameters=$(jq --arg name "$1" --arg value "$2" 'map({ParameterKey} +
        if .ParameterKey == $name then {ParameterValue: $value} else {UsePreviousValue: true} end)' <<<"$parameters")
    aws cloudformation update-stack --stack-name "$STACK" --use-previous-template \
        --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --parameters "$parameters" &&
        aws cloudformation wait stack-update-complete --stack-name "$STACK"
}

insights() {
    local now id found query=${2-}
    [[ $query ]] || query=$(cat)
    now=$(date +%s)
    id=$(aws logs start-query --log-group-name "$LOG_GROUP" --start-time $((now - $1 * 3600)) \
        --end-time "$now" --query-string "$query" --query queryId --output text) || return
    while
        found=$(aws logs get-query-results --query-id "$id" --output json) || return
        jq --exit-status '.status == "Scheduled" or .status == "Running"' <<<"$found" >/dev/null
    do sleep 1; done
    jq --raw-output '.results[] | map(select(.field != "@ptr") | "\(.field)=\(.value)") | join("  ")' <<<"$found"
}

pending() {
    local listed event attempt
    listed=$(aws s3api list-objects-v2 --bucket "$WORK" --prefix pending/ --output json) || return
    # With nothing in the bucket, the listing is an empty text.
    jq --raw-output --argjson count "${1:-20}" '[.Contents[]?.Key] as $keys
        | [$keys[] | select(endswith("/event.json"))] | .[:$count][]
        | [., (rtrimstr("event.json") + "attempt.json" | select(IN($keys[])))] | @tsv' <<<"$listed" |
        while IFS=$'\t' read -r event attempt; do
            echo "$event"
            # A run may have removed it since the listing.
            [[ ! $attempt ]] || aws s3 cp "s3://$WORK/$attempt" - |
                jq --compact-output '{attempts, deaths, atWork, retryAfterSeconds, failure}' || true
        done
}

post() {
    local secret
    secret=$(webhook_secret) || return
    # The secret through a pipe: other users see arguments in the list of processes.
    curl --silent --show-error --max-time 60 "$FUNCTION_URL" \
        --config <(printf 'header = "x-webhook-secret: %s"\n' "$secret") \
        --header 'content-type: application/json' --data-binary @-
}

use_acs() {
    [[ $# == 2 ]] || { echo "usage: use_acs GROUP NAME" >&2 && return 2; }
    need_tools az || return
    GROUP=$1 ACS_NAME=$2
    ACS_RESOURCE_ID=$(az communication show --resource-group "$GROUP" --name "$ACS_NAME" \
        --query id --output tsv) || return
    # The deployment that azure/subscribe.sh makes.
    ACCOUNT=$(az deployment group show --resource-group "$GROUP" --name archive-recordings \
        --query properties.outputs.deadLetterAccount.value --output tsv) || return
    echo "the dead letters of $ACS_NAME are in the storage account $ACCOUNT"
}

use_stack() {
    STACK=$1
    need_tools curl jq aws || return
    aws sts get-caller-identity --query Arn --output text ||
        { echo "the AWS command line is not signed in: aws sso login, or aws configure" >&2 && return 1; }
    PREFIX=$(parameter RecordingsPrefix) && FUNCTION_URL=$(output FunctionUrl) &&
        BUCKET=$(output RecordingsBucketName) && WORK=$(output WorkBucketName) &&
        WEBHOOK_SECRET_ARN=$(output WebhookSecretArn) &&
        ARCHIVER=$(resource Archiver) && SWEEPER=$(resource Sweeper) && LOG_GROUP=$(resource Logs) ||
        return
    CONNECTION_SECRET_ARN=$(output ConnectionSecretArn 2>/dev/null) || CONNECTION_SECRET_ARN=""
    echo "ready: stack $STACK, archive $BUCKET, work bucket $WORK"
}

if ! [[ ${BASH_VERSION:-} ]]; then
    echo "runbook: this shell is not bash; start bash first" >&2
    return 2
elif ! (return 0 2>/dev/null); then
    runbook_usage >&2
    exit 2
elif [[ ${1:-} == -h || ${1:-} == --help ]]; then
    runbook_usage
else
    # shellcheck source=deploy/stack.sh
    . "$(dirname "${BASH_SOURCE[0]}")/stack.sh"
    use_stack "${1:-acs-recording-archiver}"
fi
