#!/usr/bin/env bash
# Writes a connection string of the ACS resource into its secret of the stack.
set -euo pipefail
# shellcheck source=deploy/stack.sh
. "$(dirname "$0")/../deploy/stack.sh"

usage() {
    cat <<'END'
Writes a connection string of the Communication Services resource into its secret of the stack: at
the installation, and whenever an access key of the resource is rotated. Other members of the secret
stay, and the webhook secret is not touched. The functions read the new one by themselves.

Usage: azure/set-access-key.sh --stack STACK --resource-group GROUP --acs NAME
           [--region REGION] [--key KEY]

  --stack STACK            the CloudFormation stack of the archiver
  --resource-group GROUP   the Azure resource group of the Communication Services resource
  --acs NAME               the Communication Services resource
  --region REGION          the AWS region of the stack; by default that of the AWS command line
  --key KEY                primary (the default) or secondary

Needs jq, aws, and az with its extension `communication`; both command lines signed in.
END
}

fail() {
    echo "set-access-key: $1" >&2
    exit "${2:-1}"
}

STACK="" group="" acs="" key=primary
while (($#)); do
    case $1 in
    -h | --help) usage && exit ;;
    --stack | --resource-group | --acs | --region | --key) (($# > 1)) ||
        fail "$1 needs a value" 2 ;;
    *) fail "unknown option $1; see --help" 2 ;;
    esac
    case $1 in
    --stack) STACK=$2 ;;
    --resource-group) group=$2 ;;
    --acs) acs=$2 ;;
    --region) use_region "$2" ;;
    --key) key=$2 ;;
    esac
    shift 2
done
[[ $STACK && $group && $acs ]] || fail "--stack, --resource-group and --acs are required; see --help" 2
[[ $key == primary || $key == secondary ]] || fail "--key is primary or secondary" 2
need_tools aws az jq

secret=$(output ConnectionSecretArn)
connection=$(az communication list-key --resource-group "$group" --name "$acs" \
    --query "${key}ConnectionString" --output tsv)
[[ $connection == endpoint=* ]] || fail "Azure gave no connection string for $acs"

# Through the environment: other users see arguments in the list of processes.
read_secret "$secret" |
    CONNECTION=$connection jq '.COMMUNICATION_SERVICES_CONNECTION_STRING = env.CONNECTION' |
    write_secret "$secret" >/dev/null
echo "The secret of $STACK has the $key connection string of $acs."
echo "The functions use it within five minutes."
