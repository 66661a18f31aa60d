#!/usr/bin/env bash
# Shows the claims of the tokens that the functions get for downloads.
set -euo pipefail
# shellcheck source=deploy/stack.sh
. "$(dirname "$0")/../deploy/stack.sh"

usage() {
    cat <<'END'
Shows the claims of the tokens that the archiver's functions get for their downloads, before the
first download. Each of the two functions asks AWS STS for its assertion and Microsoft Entra for a
token in exchange, as for a download. The tokens themselves do not leave the functions.

Usage: azure/check-tokens.sh --stack STACK [--region REGION]

  --stack STACK     the CloudFormation stack of the archiver
  --region REGION   the AWS region of the stack; by default that of the AWS command line

Needs jq and aws 2, signed in as someone who may invoke the functions.

Exit status: 0 if both functions get both tokens, 1 if not, 2 for a wrong option. Only a download
shows whether the Communication Services resource accepts the token.
END
}

fail() {
    echo "check-tokens: $1" >&2
    exit "${2:-1}"
}

STACK=""
while (($#)); do
    case $1 in
    -h | --help) usage && exit ;;
    --stack | --region) (($# > 1)) || fail "$1 needs a value" 2 ;;
    *) fail "unknown option $1; see --help" 2 ;;
    esac
    case $1 in
    --stack) STACK=$2 ;;
    --region) use_region "$2" ;;
    esac
    shift 2
done
[[ $STACK ]] || fail "--stack is required; see --help" 2
need_tools aws jq

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

status=0
for function in Archiver Sweeper; do
    name=$(resource "$function")
    aws lambda invoke --function-name "$name" --cli-binary-format raw-in-base64-out \
        --payload '{"check":"tokens"}' --output json "$work/answer" >/dev/null
    echo "$function:"
    jq '.body | fromjson' "$work/answer"
    jq --exit-status '.statusCode == 200' "$work/answer" >/dev/null || status=1
done
exit "$status"
