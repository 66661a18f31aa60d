#!/usr/bin/env bash
# Subscribes a deployed archiver to the recordings of an ACS resource, by subscription.bicep.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=deploy/stack.sh
. ../deploy/stack.sh

usage() {
    cat <<'END'
Subscribes a deployed archiver to the recordings of a Communication Services resource. Checks that
the function answers Event Grid's handshake, then deploys azure/subscription.bicep: the
subscription, a container for the events that Event Grid gives up on, and alerts. Another run
updates the subscription, as after a rotation of the webhook secret: it takes the last one of
several secrets.

Usage: azure/subscribe.sh --stack STACK --resource-group GROUP --acs NAME [--region REGION]
           [-- OPTION...]
       azure/subscribe.sh --verify --stack STACK [--region REGION]

  --stack STACK            the CloudFormation stack of the archiver
  --resource-group GROUP   the Azure resource group of the Communication Services resource
  --acs NAME               the Communication Services resource
  --region REGION          the AWS region of the stack; by default that of the AWS command line
  --verify                 only check the handshake; needs only aws, curl and jq
  OPTION...                for `az deployment group create`, such as --what-if; the output of
                           --debug or --what-if may contain the webhook secret

These variables of the environment set the other parameters. A variable that is not set goes back to
its default, so set the same ones each time.

  SUBSCRIPTION_NAME        archive-recordings
  EVENT_SCHEMA             EventGridSchema (the default) or CloudEventSchemaV1_0
  DEAD_LETTER_ACCOUNT_ID   a storage account to use in place of a new one
  DEAD_LETTER_CONTAINER    dead-letters
  ENTRA_TENANT_ID, ENTRA_AUDIENCE   for tokens with the deliveries
  ALARM_EMAIL              the address for alerts; by default the stack's AlarmEmail
  SYSTEM_TOPIC_ID          by default the system topic of the resource, or a new one

Needs aws, az 2.53 or later, curl and jq; both command lines signed in.
END
}

fail() {
    echo "subscribe: $1" >&2
    exit "${2:-1}"
}

STACK="" group="" acs="" verify=""
while (($#)); do
    case $1 in
    -h | --help) usage && exit ;;
    --) shift && break ;;
    --verify) verify=yes && shift && continue ;;
    --stack | --resource-group | --acs | --region) (($# > 1)) || fail "$1 needs a value" 2 ;;
    *) fail "unknown option $1; see --help" 2 ;;
    esac
    case $1 in
    --stack) STACK=$2 ;;
    --resource-group) group=$2 ;;
    --acs) acs=$2 ;;
    --region) use_region "$2" ;;
    esac
    shift 2
done
[[ $STACK ]] || fail "--stack is required; see --help" 2
[[ $verify || ($group && $acs) ]] || fail "--resource-group and --acs are required; see --help" 2
if [[ $verify ]]; then need_tools aws curl jq; else need_tools aws az curl jq; fi

url=$(output FunctionUrl)
[[ $url == https://* ]] || fail "FunctionUrl of stack $STACK is not https, and the secret goes there: $url"
code=$(webhook_secret)
[[ $code =~ ^[A-Za-z0-9_-]{16,}$ ]] || fail "the secret has no usable WEBHOOK_SECRETS"

echo "Asking the function for the handshake ..."
# The secret through a pipe: other users see arguments in the list of processes.
answer=$(curl --silent --show-error --max-time 30 "$url" \
    --config <(printf 'header = "x-webhook-secret: %s"\n' "$code") \
    --write-out ' (status %{http_code})' --header 'content-type: application/json' --data '[{"id": "1",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "hello"}}]')
[[ $answer == *'"validationResponse":"hello"'* ]] ||
    fail "it answered: $answer
Event Grid would not subscribe it. Does the secret have the connection string
(azure/set-access-key.sh)? The function's log names every fault."
if [[ $verify ]]; then
    echo "$answer"
    exit
fi

if [[ ! ${ALARM_EMAIL:-} ]]; then
    export ALARM_EMAIL
    ALARM_EMAIL=$(parameter AlarmEmail)
fi
if [[ ! ${SYSTEM_TOPIC_ID:-} ]]; then
    # A resource can have only one, which may be in any group.
    source=$(az communication show --resource-group "$group" --name "$acs" --query id --output tsv)
    export SYSTEM_TOPIC_ID
    SYSTEM_TOPIC_ID=$(az eventgrid system-topic list --output json |
        jq --raw-output --arg source "$source" 'map(select(
            (.source | ascii_downcase) == ($source | ascii_downcase)).id) | first // empty')
fi

echo "Deploying the subscription ..."
ACS_NAME=$acs WEBHOOK_ENDPOINT="$url?code=$code" az deployment group create --name archive-recordings \
    --resource-group "$group" --parameters subscription.bicepparam --query properties.outputs "$@"
