#!/usr/bin/env bash
# Subscribes a deployed archiver to the recordings of a Communication Services resource, by subscription.bicep.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=deploy/stack.sh
. ../deploy/stack.sh

usage() {
    cat <<'END'
Subscribes a deployed archiver to the recordings of a Communication Services resource: checks that the function answers
Event Grid's handshake, then deploys azure/subscription.bicep: the subscription, a container for what Event Grid gives up
on, and alerts on it. Again, it updates the subscription, as after a rotation of
the webhook secret: of several secrets it takes the last.

Usage: azure/subscribe.sh --stack STACK --resource-group GROUP --acs NAME [--region REGION] [-- OPTION...]
       azure/subscribe.sh --verify --stack STACK [--region REGION]

  --stack STACK            the CloudFormation stack of the archiver
  --resource-group GROUP   the Azure resource group of the Communication Services resource
  --acs NAME               the Communication Services resource
  --region REGION          the AWS region of the stack; as the AWS command line is set up unless told
  --verify                 only check that the function answers the handshake; needs aws, curl and jq alone
  OPTION...                for `az deployment group create`, as --what-if; what it prints with --debug or --what-if may
                           have the webhook secret in it

Variables of the environment set the other parameters: SUBSCRIPTION_NAME (archive-recordings), EVENT_SCHEMA
(EventGridSchema or CloudEventSchemaV1_0), DEAD_LETTER_ACCOUNT_ID (a storage account to use in place of a new one) and
DEAD_LETTER_CONTAINER (dead-letters), ENTRA_TENANT_ID and ENTRA_AUDIENCE; ALARM_EMAIL, where alerts are sent to (the stack's
AlarmEmail), and SYSTEM_TOPIC_ID (the system topic that the resource has, or a new one). Set the same ones each time: what
is not set goes back to its default.

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
# By a file that is none: what is an argument, others see in the list of processes.
answer=$(curl --silent --show-error --max-time 30 --config <(printf 'header = "x-webhook-secret: %s"\n' "$code") "$url" \
    --write-out ' (status %{http_code})' --header 'content-type: application/json' --data '[{"id": "1",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "hello"}}]')
[[ $answer == *'"validationResponse":"hello"'* ]] ||
    fail "it answered: $answer
Event Grid would not subscribe it. Has the secret the connection string (azure/set-access-key.sh)? The log names what is wrong."
if [[ $verify ]]; then
    echo "$answer"
    exit
fi

if [[ ! ${ALARM_EMAIL:-} ]]; then
    export ALARM_EMAIL
    ALARM_EMAIL=$(parameter AlarmEmail)
fi
if [[ ! ${SYSTEM_TOPIC_ID:-} ]]; then
    # A resource can have only one, whoever made it and in whichever group.
    source=$(az communication show --resource-group "$group" --name "$acs" --query id --output tsv)
    export SYSTEM_TOPIC_ID
    SYSTEM_TOPIC_ID=$(az eventgrid system-topic list --output json |
        jq --raw-output --arg source "$source" 'map(select((.source | ascii_downcase) == ($source | ascii_downcase)).id) | first // empty')
fi

echo "Deploying the subscription ..."
ACS_NAME=$acs WEBHOOK_ENDPOINT="$url?code=$code" az deployment group create --name archive-recordings \
    --resource-group "$group" --parameters subscription.bicepparam --query properties.outputs "$@"
