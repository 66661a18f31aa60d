# shellcheck shell=bash
# Functions that read a deployed stack, for the scripts of azure/ and deploy/. To be sourced.
#
# They read the CloudFormation stack $STACK in the account and region that the AWS command line is
# set up for. On a failure they print why, and return a status that is not 0.

# Names the tools among these that are not installed, and fails if there are any.
need_tools() {
    local tool missing=""
    for tool; do
        command -v "$tool" >/dev/null || missing+=" $tool"
    done
    [[ ! $missing ]] || { echo "not installed:$missing" >&2 && return 1; }
}

# Sets the region of the AWS command line, whose first version knows the second variable alone.
use_region() {
    export AWS_REGION=$1 AWS_DEFAULT_REGION=$1
}

# Prints the stack's output of this name.
output() {
    local value
    value=$(aws cloudformation describe-stacks --stack-name "$STACK" \
        --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue | [0]" --output text) || return
    # The AWS command line prints None for what is not there.
    [[ $value && $value != None ]] || { echo "stack $STACK has no output $1" >&2 && return 1; }
    echo "$value"
}

# Prints the value of the stack's parameter of this name.
parameter() {
    local value
    value=$(aws cloudformation describe-stacks --stack-name "$STACK" \
        --query "Stacks[0].Parameters[?ParameterKey=='$1'].ParameterValue | [0]" --output text) || return
    [[ $value != None ]] || { echo "stack $STACK has no parameter $1" >&2 && return 1; }
    echo "$value"
}

# Prints the physical name of the stack's resource of this logical name.
resource() {
    aws cloudformation describe-stack-resource --stack-name "$STACK" --logical-resource-id "$1" \
        --query StackResourceDetail.PhysicalResourceId --output text
}

# Prints the text of the secret of this ARN. Further arguments are for `get-secret-value`.
read_secret() {
    aws secretsmanager get-secret-value --secret-id "$1" "${@:2}" --query SecretString --output text
}

# Writes the standard input to the secret of this ARN. Refuses what is not a JSON object.
#
# Only pipes carry the text: other users see arguments in the list of processes, and a here-string
# is a file for a time.
write_secret() {
    local text
    text=$(cat)
    [[ $(printf '%s' "$text" | jq type 2>/dev/null) == '"object"' ]] ||
        { echo "the secret is left as it is: the new text is not a JSON object" >&2 && return 1; }
    printf '%s' "$text" | aws secretsmanager put-secret-value --secret-id "$1" \
        --secret-string file:///dev/stdin --query VersionId --output text
}

# Prints the webhook secret to use: the last of the list.
webhook_secret() {
    local arn text secret
    arn=$(output WebhookSecretArn) && text=$(read_secret "$arn") || return
    secret=$(printf '%s' "$text" | jq --raw-output \
        '[.WEBHOOK_SECRETS | strings | splits("[,\\s]+") | select(. != "")] | last // empty')
    [[ $secret ]] || { echo "the secret has no WEBHOOK_SECRETS" >&2 && return 1; }
    echo "$secret"
}
