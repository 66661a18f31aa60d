#!/usr/bin/env bash
# Writes a connection string of the Communication Services resource into the archiver's secret of it.
set -euo pipefail

usage() {
    cat <<'END'
Writes a connection string of the Communication Services resource into the archiver's secret of it: at the installation,
and whenever an access key of the resource is rotated. Other members of the secret stay. The functions read it by
themselves. The secret that lets Event Grid in is another one, and not touched.

Usage: azure/set-access-key.sh --stack STACK --resource-group GROUP --acs NAME [--region REGION] [--key KEY]

  --stack STACK            the CloudFormation stack of the archiver
  --resource-group GROUP   the Azure resource group of the Communication Services resource
  --acs NAME               the Communication Services resource
  --region REGION          the AWS region of the stack; as the AWS command line is set up unless told
  --key KEY                primary (unless told) or secondary

Needs aws, az with its extension `communication`, and jq; both command lines signed in.
END
}

fail() {
    echo "set-access-key: $1" >&2
    exit "${2:-1}"
}

stack="" group="" acs="" key=primary region=()
while (($#)); do
    case $1 in
    -h | --help) usage && exit ;;
    --stack | --resource-group | --acs | --region | --key) (($# > 1)) || fail "$1 needs a value" 2 ;;
    *) fail "unknown option $1; see --help" 2 ;;
    esac
    case $1 in
    --stack) stack=$2 ;;
    --resource-group) group=$2 ;;
    --acs) acs=$2 ;;
    --region) region=(--region "$2") ;;
    --key) key=$2 ;;
    esac
    shift 2
done
[[ $stack && $group && $acs ]] || fail "--stack, --resource-group and --acs are required; see --help" 2
[[ $key == primary || $key == secondary ]] || fail "--key is primary or secondary" 2
for tool in aws az jq; do
    command -v "$tool" >/dev/null || fail "$tool is not installed"
done

secret=$(aws cloudformation describe-stacks ${region[@]+"${region[@]}"} --stack-name "$stack" \
    --query "Stacks[0].Outputs[?OutputKey=='ConnectionSecretArn'].OutputValue" --output text)
[[ $secret == arn:* ]] || fail "stack $stack has no output ConnectionSecretArn"
connection=$(az communication list-key --resource-group "$group" --name "$acs" \
    --query "${key}ConnectionString" --output tsv)
[[ $connection == endpoint=* ]] || fail "Azure gave no connection string for $acs"

# Through pipes and the environment: what is an argument, others see in the list of processes, and what is a here-string is
# a file for a time.
old=$(aws secretsmanager get-secret-value ${region[@]+"${region[@]}"} --secret-id "$secret" \
    --query SecretString --output text)
new=$(printf '%s' "$old" | CONNECTION=$connection jq '.COMMUNICATION_SERVICES_CONNECTION_STRING = env.CONNECTION')
printf '%s' "$new" | aws secretsmanager put-secret-value ${region[@]+"${region[@]}"} --secret-id "$secret" \
    --secret-string file:///dev/stdin --output text --query VersionId >/dev/null
echo "The secret of $stack has the $key connection string of $acs. The functions take it within five minutes."
