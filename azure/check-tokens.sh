#!/usr/bin/env bash
# Shows what the tokens say that the archiver's functions get for their downloads, before there is any download.
set -euo pipefail
# shellcheck source=deploy/stack.sh
. "$(dirname "$0")/../deploy/stack.sh"

usage() {
    cat <<'END'
Shows what the tokens say that the archiver's functions get for their downloads, before there is any download: has each of
the two functions ask AWS STS for its assertion and Microsoft Entra for a token in exchange, as for a download, and prints
the claims of both. The tokens themselves do not leave the functions.

Usage: azure/check-tokens.sh --stack STACK [--region REGION]

  --stack STACK     the CloudFormation stack of the archiver
  --region REGION   the AWS region of the stack; as the AWS command line is set up unless told

Needs aws, version 2, signed in as someone who may invoke the functions, and jq.

Exit status: 0 if both functions get both tokens, 1 if not, 2 for a wrong option. Whether the Communication Services
resource takes the token, only a download shows.
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
