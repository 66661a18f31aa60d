#!/usr/bin/env bash
# Installs the archiver, or a newer version of it, from a checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/stack.sh
. deploy/stack.sh

usage() {
    cat <<'END_OF_USAGE'
Installs the archiver, or a newer version of it, in eight steps: checks tools, logins and the
account's concurrency; builds; uploads; deploys the stack; fills in the connection string, or lets
the functions get tokens; sends Event Grid's handshake; subscribes; raises a test alarm. Each step
prints its effect, its cost, and how to undo it. It is always safe to run it again: it keeps what is
there, and goes on where it stopped.

Usage: deploy/deploy.sh --resource-group GROUP --acs NAME --email ADDRESS [OPTION]...

  --resource-group GROUP   the Azure resource group of the Communication Services resource
  --acs NAME               the Communication Services resource
  --email ADDRESS          the address for alarms, '' for none; needed the first time, kept
                           afterwards
  --stack STACK            the CloudFormation stack; acs-recording-archiver by default
  --region REGION          the AWS region; by default that of the AWS command line
  --parameter NAME=VALUE   another parameter of the stack (docs/deploying.md lists them); may be
                           repeated; kept afterwards
  --from DIR               deploy what deploy/build.sh has written there, and build nothing, so
                           that no Rust is needed
  --arch ARCH              arm64 (the default) or x86_64
  --artifacts BUCKET       the bucket for the code; by default STACK-artifacts-ACCOUNT-REGION, which
                           is made
  --dry-run                check everything, show each step with its commands, change nothing
  --yes                    do not ask before the first change

Needs jq, curl, aws 2, and az 2.53 or later with its extension `communication`; both command lines
signed in, with the rights that docs/deploying.md lists. Without --from it also needs what
deploy/build.sh needs.

Exit status: 0 if all is done, 1 if a step failed, 2 for a wrong option.
END_OF_USAGE
}

fail() {
    echo "deploy: $1" >&2
    exit "${2:-1}"
}

readonly NAME=acs-recording-archiver
STACK=$NAME group="" acs="" email="" has_email="" region="" from="" arch=arm64 artifacts="" dry_run="" yes=""
parameters=()
while (($#)); do
    case $1 in
    -h | --help) usage && exit ;;
    --dry-run) dry_run=yes && shift && continue ;;
    --yes) yes=yes && shift && continue ;;
    --resource-group | --acs | --email | --stack | --region | --parameter | --from | --arch | --artifacts)
        (($# > 1)) || fail "$1 needs a value" 2
        ;;
    *) fail "unknown option $1; see --help" 2 ;;
    esac
    case $1 in
    --resource-group) group=$2 ;;
    --acs) acs=$2 ;;
    --email) email=$2 has_email=yes ;;
    --stack) STACK=$2 ;;
    --region) region=$2 ;;
    --parameter)
        [[ $2 =~ ^[A-Za-z]+= ]] || fail "--parameter is NAME=VALUE" 2
        parameters+=("$2")
        ;;
    --from) from=$2 ;;
    --arch) arch=$2 ;;
    --artifacts) artifacts=$2 ;;
    esac
    shift 2
done
[[ $group && $acs ]] || fail "--resource-group and --acs are required; see --help" 2
[[ $STACK =~ ^[A-Za-z][A-Za-z0-9-]{0,127}$ ]] || fail "--stack is letters, digits and dashes, a letter first" 2
[[ $arch == arm64 || $arch == x86_64 ]] || fail "--arch is arm64 or x86_64" 2
[[ ! $has_email ]] || parameters+=("AlarmEmail=$email")

step=0 current="" work=""
finish() {
    local status=$?
    [[ ! $work ]] || rm -rf "$work"
    [[ $status == 0 || ! $current ]] ||
        echo "deploy: stopped at step $step, $current. Correct the fault and run this again: it goes on from here." >&2
}
trap finish EXIT

# Begins a step, and prints its name, its effect, its cost, and how to undo it.
begin() {
    step=$((step + 1)) current=$1
    printf '\n=== %d of 8: %s\n    does:  %s\n    costs: %s\n    undo:  %s\n' "$step" "$1" "$2" "$3" "$4"
}

# Prints a command, and runs it unless this is a dry run.
change() {
    local shown
    shown=$(printf '%q ' "$@")
    echo "    + ${shown% }"
    [[ $dry_run ]] || "$@"
}

# Fails if the first version is older than the second: `at_least 2.60.0 2.53`.
at_least() {
    local IFS=. have wanted at
    read -ra have <<<"$1"
    read -ra wanted <<<"$2"
    for at in "${!wanted[@]}"; do
        ((10#${have[at]:-0} == 10#${wanted[at]})) || { ((10#${have[at]:-0} > 10#${wanted[at]})) &&
            return || return 1; }
    done
}

check_tools() {
    local version tools=(aws az jq curl sha256sum)
    [[ $from ]] || tools+=(cargo rustup python3)
    need_tools "${tools[@]}" || fail "install them first (without Rust, deploy a build with --from)"
    version=$(aws --version 2>&1) || fail "aws --version fails: $version"
    [[ $version =~ ^aws-cli/([0-9.]+) ]] || fail "aws --version says: $version"
    at_least "${BASH_REMATCH[1]}" 2 || fail "aws is ${BASH_REMATCH[1]}, and has to be 2 or later"
    version=$(az version --output json | jq --raw-output '."azure-cli"') || fail "az version fails"
    [[ $version =~ ^[0-9.]+$ ]] || fail "az version says: $version"
    at_least "$version" 2.53 || fail "az is $version, and has to be 2.53 or later: az upgrade"
    az extension show --name communication --output none 2>/dev/null ||
        fail "az lacks its extension: az extension add --name communication"
}

# Sets the region, the account and the id of the ACS resource, and prints who is signed in.
check_logins() {
    local identity
    [[ $region ]] || region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
    [[ $region =~ ^[a-z0-9-]+$ ]] || fail "no AWS region: give --region"
    use_region "$region"
    export AWS_PAGER=""
    identity=$(aws sts get-caller-identity --output json) ||
        fail "aws is not signed in (aws sso login, or aws configure)"
    account=$(jq --raw-output .Account <<<"$identity")
    [[ $account =~ ^[0-9]{12}$ ]] || fail "aws names no account: $identity"
    echo "    AWS account $account in $region, as $(jq --raw-output .Arn <<<"$identity")"
    identity=$(az account show --output json) || fail "az is not signed in (az login)"
    echo "    Azure subscription $(jq --raw-output '"\(.name), as \(.user.name)"' <<<"$identity")"
    acs_id=$(az communication show --resource-group "$group" --name "$acs" --query id --output tsv) ||
        fail "az finds no Communication Services resource $acs in the group $group (another subscription? az account set)"
    [[ $acs_id == /* ]] || fail "az names no id of $acs: $acs_id"
}

# Reads the stack, if there is one, into `status` and `known`, its parameters by name.
check_stack() {
    local error described
    known="{}" status=""
    if described=$(aws cloudformation describe-stacks --stack-name "$STACK" --output json 2>"$work/error"); then
        status=$(jq --raw-output '.Stacks[0].StackStatus' <<<"$described")
        known=$(jq '.Stacks[0].Parameters // [] | map({(.ParameterKey): .ParameterValue}) | add // {}' <<<"$described")
    else
        error=$(<"$work/error")
        [[ $error == *"does not exist"* ]] || fail "the stack cannot be looked at: $error"
    fi
    case $status in
    "" | REVIEW_IN_PROGRESS) status="" ;;
    ROLLBACK_COMPLETE | ROLLBACK_FAILED | DELETE_FAILED)
        fail "$STACK is $status, which cannot be updated. Delete it first: aws cloudformation delete-stack --stack-name $STACK"
        ;;
    *_IN_PROGRESS) fail "$STACK is $status: wait until that is over" ;;
    *_FAILED) fail "$STACK is $status: look at its events in the CloudFormation console" ;;
    esac
    [[ $status || $has_email ]] || fail "--email is required at the first time: alarms that reach nobody are none" 2
}

# Prints the value that a parameter of the stack will have.
chosen() {
    local given
    for given in ${parameters[@]+"${parameters[@]}"}; do
        [[ $given != "$1="* ]] || { echo "${given#*=}" && return; }
    done
    jq --raw-output --arg name "$1" --arg default "$2" '.[$name] // $default' <<<"$known"
}

# Succeeds if downloads use Entra tokens: the stack then has no secret of Azure.
keyless() {
    [[ $(chosen CommunicationServicesEndpoint "") ]]
}

check_parameters() {
    local given names
    names=$(awk '/^[A-Za-z]/ { section = $1 } section == "Parameters:" && /^  [A-Za-z]/ { print $1 }' template.yaml)
    for given in ${parameters[@]+"${parameters[@]}"}; do
        # The AWS command line ignores a parameter that the template does not have.
        grep -qx "${given%%=*}:" <<<"$names" || fail "the stack has no parameter ${given%%=*}" 2
    done
}

# Lambda keeps 100 instances of an account unreserved, or all if there are fewer.
check_concurrency() {
    local limits unreserved limit minimum reserved=0 total=0 one name
    limits=$(aws lambda get-account-settings --query AccountLimit --output json) ||
        fail "the account's limits cannot be read"
    unreserved=$(jq .UnreservedConcurrentExecutions <<<"$limits") limit=$(jq .ConcurrentExecutions <<<"$limits")
    [[ $unreserved =~ ^[0-9]+$ && $limit =~ ^[0-9]+$ ]] || fail "Lambda names no limits: $limits"
    minimum=$((limit < 100 ? limit : 100))
    for name in Archiver:20 Sweeper:16; do
        one=$(chosen "${name%:*}Concurrency" "${name#*:}")
        [[ $one =~ ^[0-9]+$ ]] || fail "${name%:*}Concurrency is no number: $one" 2
        total=$((total + one))
        [[ ! $status ]] || reserved=$((reserved + $(jq --arg name "${name%:*}Concurrency" '.[$name] // "0" | tonumber' <<<"$known")))
    done
    ((total == 0 || unreserved + reserved - total >= minimum)) || fail \
        "the functions reserve $total instances, and of $limit the account can give $((unreserved + reserved - minimum)).
Have the limit raised (aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384
--desired-value 1000), or reserve none: --parameter ArchiverConcurrency=0 --parameter SweeperConcurrency=0"
    echo "    $total instances are reserved of $limit, $unreserved of which are free"
}

check_artifacts() {
    [[ $artifacts ]] || artifacts=$(tr '[:upper:]' '[:lower:]' <<<"$STACK-artifacts-$account-$region")
    ((${#artifacts} <= 63)) ||
        fail "the name $artifacts is too long for a bucket: give --artifacts" 2
    has_artifacts=yes
    aws s3api head-bucket --bucket "$artifacts" --expected-bucket-owner "$account" >/dev/null 2>"$work/error" && return
    has_artifacts=""
    [[ $(<"$work/error") == *404* ]] ||
        fail "the bucket $artifacts cannot be used: $(<"$work/error")
If it is of another account, give --artifacts."
}

build() {
    if [[ ! $from ]]; then
        from=target/deploy
        change deploy/build.sh --arch "$arch" --out "$from"
        [[ ! $dry_run ]] || return 0
    fi
    template=$from/template-$arch.yaml code=$from/$NAME-$arch.zip
    [[ -f $template && -f $code && -f $from/SHA256SUMS ]] || fail "$from has no build for $arch: deploy/build.sh makes it"
    (cd "$from" && sha256sum --check --quiet --ignore-missing SHA256SUMS) ||
        fail "what is in $from is not what was built"
    sum=$(sha256sum <"$code") && sum=${sum%% *}
    echo "    $(<"$from/version"), SHA-256 of the code $sum"
}

upload() {
    local location=(--create-bucket-configuration "LocationConstraint=$region")
    [[ $region != us-east-1 ]] || location=()
    [[ $has_artifacts ]] ||
        change aws s3api create-bucket --bucket "$artifacts" ${location[@]+"${location[@]}"} --output text
    change aws s3 cp --only-show-errors "${code:-$NAME-$arch.zip}" "s3://$artifacts/${sum:-SHA256}.zip"
}

deploy() {
    local overrides=() name
    ((!${#parameters[@]})) || overrides=(--parameter-overrides "${parameters[@]}")
    if [[ ! $dry_run ]]; then
        # The key names the content: CloudFormation deploys new code only under a new key.
        sed "s|CodeUri: $NAME-$arch\.zip\$|CodeUri: s3://$artifacts/$sum.zip|" "$template" >"$work/template.yaml"
        grep -q "CodeUri: s3://$artifacts/$sum.zip" "$work/template.yaml" || fail "$template names no code"
    fi
    change aws cloudformation deploy --stack-name "$STACK" --template-file "$work/template.yaml" --s3-bucket "$artifacts" \
        --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --no-fail-on-empty-changeset ${overrides[@]+"${overrides[@]}"} ||
        fail "CloudFormation did not deploy $STACK: aws cloudformation describe-stack-events --stack-name $STACK says why"
    [[ ! $dry_run ]] || return 0
    local outputs=(FunctionUrl WebhookSecretArn AlarmTopicArn RecordingsBucketName DashboardUrl)
    keyless || outputs+=(ConnectionSecretArn)
    for name in "${outputs[@]}"; do
        output "$name" >/dev/null
    done
}

federate() {
    change azure/federate.sh --stack "$STACK" --region "$region" --resource-group "$group" --acs "$acs"
    # Entra knows a new credential only after minutes. Only tests set the pause.
    local tries
    for tries in 1 2 3 4 5 6; do
        if change azure/check-tokens.sh --stack "$STACK" --region "$region"; then return; fi
        [[ $tries == 6 ]] || sleep "${DEPLOY_PAUSE:-30}"
    done
    fail "the functions get no tokens: RUNBOOK.md, Tokens unavailable, says what each refusal means"
}

fill_in() {
    local secret text
    if [[ ! $dry_run ]]; then
        secret=$(output ConnectionSecretArn)
        text=$(read_secret "$secret") || fail "the secret $secret cannot be read"
        # The key in use stays: after a rotation it is not the first one.
        if printf '%s' "$text" | jq --exit-status \
            '.COMMUNICATION_SERVICES_CONNECTION_STRING // "" | startswith("endpoint=")' >/dev/null 2>&1; then
            echo "    It has one already. (azure/set-access-key.sh writes another.)"
            return
        fi
    fi
    change azure/set-access-key.sh --stack "$STACK" --region "$region" --resource-group "$group" --acs "$acs"
}

verify() {
    local tries
    [[ ! $dry_run ]] || { change azure/subscribe.sh --verify --stack "$STACK" --region "$region" && return; }
    # An instance may have started with the old secret. Only tests set the pause.
    for tries in 1 2 3 4 5 6; do
        if change azure/subscribe.sh --verify --stack "$STACK" --region "$region"; then return; fi
        [[ $tries == 6 ]] || sleep "${DEPLOY_PAUSE:-10}"
    done
    fail "the function does not answer the handshake: aws logs tail says why (RUNBOOK.md, Archiver errors)"
}

subscribe() {
    local subscription url
    if [[ ! $dry_run ]]; then
        subscription=$(az eventgrid event-subscription show --name "${SUBSCRIPTION_NAME:-archive-recordings}" \
            --source-resource-id "$acs_id" --output json 2>/dev/null) || subscription="{}"
        url=$(output FunctionUrl)
        # A subscription to another URL would leave this stack without events.
        if jq --exit-status --arg url "${url%/}" '.provisioningState == "Succeeded"
            and ((.destination.endpointBaseUrl // "" | rtrimstr("/")) == $url)' >/dev/null <<<"${subscription:-null}"; then
            echo "    It is there already. (azure/subscribe.sh changes it.)"
            return
        fi
    fi
    change azure/subscribe.sh --stack "$STACK" --region "$region" --resource-group "$group" --acs "$acs"
}

alarm() {
    local name=$STACK-event-set-aside topic subscribed state
    if [[ ! $dry_run ]]; then
        topic=$(output AlarmTopicArn)
        subscribed=$(aws sns list-subscriptions-by-topic --topic-arn "$topic" \
            --query 'Subscriptions[].SubscriptionArn' --output text) || fail "the topic $topic cannot be looked at"
        if [[ ! $subscribed || $subscribed == None ]]; then
            [[ ! $(chosen AlarmEmail "") ]] ||
                fail "nobody is subscribed to $topic, so no alarm reaches anybody"
            echo "    Nobody is told of an alarm: run this again with --email, or subscribe to $topic."
            return
        fi
        [[ $subscribed != *PendingConfirmation* ]] ||
            fail "no alarm reaches the address yet. Confirm the subscription in the mail that AWS has sent to it, then run this again"
        state=$(aws cloudwatch describe-alarms --alarm-names "$name" --query 'MetricAlarms[0].StateValue' --output text) ||
            fail "the alarm $name cannot be looked at"
        [[ $state != ALARM ]] || fail "$name is raised, and not by this: see RUNBOOK.md, Event set aside"
    fi
    change aws cloudwatch set-alarm-state --alarm-name "$name" --state-value ALARM \
        --state-reason 'A test by deploy/deploy.sh: nothing is wrong.'
}

check_tools
work=$(mktemp -d)

begin "Check the logins, the stack and the account's limits" "reads, and changes nothing" "nothing" "nothing to undo"
check_logins
check_stack
check_parameters
check_concurrency
check_artifacts
if [[ -t 0 && ! $yes && ! $dry_run ]]; then
    read -rp "Go on with these? [y/N] " answer
    [[ $answer == [yY]* ]] || fail "nothing was changed"
fi

begin "Build the code" "builds for $arch below target/, or takes what --from names; checks its SHA-256" \
    "10 to 20 minutes at the first time" "rm -r target/deploy target/lambda-build target/tools"
build

begin "Upload the code" "puts the zip into the bucket $artifacts, and makes that if it is not there" \
    "less than 0.01 USD a month" "aws s3 rb --force s3://$artifacts, once the stack is gone"
upload

begin "Deploy the stack" \
    "makes or updates $STACK; AWS mails the address, which has to confirm. At the first time sweeper-errors and schedule-silent
           are raised, and may be mailed, until the next step is done" \
    "about 6.80 USD a month with nothing to do (docs/performance.md)" \
    "aws cloudformation delete-stack --stack-name $STACK; the buckets stay (docs/deploying.md, Cleaning up)"
deploy

if keyless; then
    begin "Let the functions act as the application" \
        "adds a federated credential for each of their two roles, and has both get the tokens of a download" \
        "nothing" "az ad app federated-credential delete (docs/deploying.md, Cleaning up)"
    federate
else
    begin "Fill in the connection string" "copies it from Azure into the stack's secret, unless that has one" \
        "nothing" "it goes with the stack"
    fill_in
fi

begin "Verify" "sends Event Grid's handshake to the function" "nothing" "nothing to undo"
verify

begin "Subscribe" \
    "subscribes the function to the recordings of $acs, with a container for what Event Grid gives up on and three alerts" \
    "about 0.30 USD a month" "az eventgrid event-subscription delete (docs/deploying.md, Cleaning up)"
subscribe

begin "Raise a test alarm" "sets $STACK-event-set-aside to ALARM: a mail comes within a minute, and the alarm goes back by itself" \
    "nothing" "nothing to undo"
alarm

current=""
if [[ $dry_run ]]; then
    printf '\nNothing was changed.\n'
    exit
fi
bucket=$(output RecordingsBucketName) dashboard=$(output DashboardUrl)
printf '\nAll is done. Look for the mail of the test alarm. Then record a call: within minutes of its end,\n'
printf '  aws s3 ls --recursive s3://%s/\nshows its manifest. Dashboard: %s\n' "$bucket" "$dashboard"
