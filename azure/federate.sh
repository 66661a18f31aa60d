#!/usr/bin/env bash
# Makes the Entra application of the archiver, and lets the stack's roles act as it.
set -euo pipefail
# shellcheck source=deploy/stack.sh
. "$(dirname "$0")/../deploy/stack.sh"

usage() {
    cat <<'END'
Makes the application in Microsoft Entra that the archiver downloads as, with a role on the
Communication Services resource, and prints the parameters for the stack. With --stack it also lets
the stack's two roles act as the application, by one federated credential each, for the AWS
account's own issuer. It makes no secret. Another run makes what is missing and corrects what
differs.

Usage: azure/federate.sh --resource-group GROUP --acs NAME [--application NAME] [--role ROLE]
           [--stack STACK [--region REGION]]

  --resource-group GROUP   the Azure resource group of the Communication Services resource
  --acs NAME               the Communication Services resource
  --application NAME       the application's name; acs-recording-archiver by default
  --role ROLE              its role on the resource, by name or id; by default
                           "Communication and Email Service Owner"
  --stack STACK            the CloudFormation stack of the archiver
  --region REGION          the AWS region of the stack; by default that of the AWS command line

Needs az with its extension `communication`, signed in to the resource's subscription as someone
who may register applications and assign roles. --stack also needs jq, and an aws that knows
outbound identity federation, signed in to the stack's account.
END
}

fail() {
    echo "federate: $1" >&2
    exit "${2:-1}"
}

STACK="" group="" acs="" application=acs-recording-archiver role="Communication and Email Service Owner"
while (($#)); do
    case $1 in
    -h | --help) usage && exit ;;
    --stack | --resource-group | --acs | --application | --role | --region) (($# > 1)) ||
        fail "$1 needs a value" 2 ;;
    *) fail "unknown option $1; see --help" 2 ;;
    esac
    case $1 in
    --stack) STACK=$2 ;;
    --resource-group) group=$2 ;;
    --acs) acs=$2 ;;
    --application) application=$2 ;;
    --role) role=$2 ;;
    --region) use_region "$2" ;;
    esac
    shift 2
done
[[ $group && $acs ]] || fail "--resource-group and --acs are required; see --help" 2
[[ $application =~ ^[A-Za-z0-9._-]+$ ]] || fail "--application is letters, digits, dots, dashes and underscores" 2
if [[ $STACK ]]; then need_tools aws az jq; else need_tools az; fi

acs_property() {
    az communication show --resource-group "$group" --name "$acs" --query "$1" --output tsv
}
id=$(acs_property id) host=$(acs_property hostName)
[[ $id == /subscriptions/* && $host =~ ^[A-Za-z0-9.-]+$ ]] || 
    fail "Azure has no Communication Services resource $acs in $group"
tenant=$(az account show --query tenantId --output tsv)

# The filter also finds longer names that begin with this one.
clients=$(az ad app list --display-name "$application" --query "[?displayName=='$application'].appId" --output tsv)
if [[ ! $clients ]]; then
    echo "Making the application $application ..." >&2
    clients=$(az ad app create --display-name "$application" --sign-in-audience AzureADMyOrg --query appId --output tsv)
fi
[[ $clients =~ ^[0-9a-fA-F-]{36}$ ]] || fail "there is not one application $application: choose another name with --application"
client=$clients
principal=$(az ad sp list --filter "appId eq '$client'" --query '[].id' --output tsv)
[[ $principal ]] || principal=$(az ad sp create --id "$client" --query id --output tsv)

assigned=$(az role assignment list --assignee "$principal" --role "$role" --scope "$id" --query 'length(@)' --output tsv)
if [[ $assigned == 0 ]]; then
    echo "Assigning it the role $role on $acs ..." >&2
    # With its type given, Azure need not look up a principal that was just made.
    az role assignment create --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal \
        --role "$role" --scope "$id" --output none
fi

if [[ ! $STACK ]]; then
    echo "Deploy the stack with these parameters, then run this again with --stack:" >&2
    printf '%s\n' "CommunicationServicesEndpoint=https://$host" "AcsTenantId=$tenant" "AcsClientId=$client"
    exit
fi

issuer=$(aws iam get-outbound-web-identity-federation-info --query IssuerIdentifier --output text) ||
    fail "outbound identity federation is off: aws iam enable-outbound-web-identity-federation"
[[ $issuer == https://* ]] || fail "AWS names no issuer of the account"

# Makes or corrects a credential for this subject.
trust() {
    local name=$1 subject=$2 verb=create which=() known
    known=$(az ad app federated-credential list --id "$client" --query "[?name=='$name'].name" --output tsv)
    [[ ! $known ]] || verb=update which=(--federated-credential-id "$name")
    az ad app federated-credential "$verb" --id "$client" ${which[@]+"${which[@]}"} --output none --parameters "$(
        jq --null-input --arg name "$name" --arg issuer "$issuer" --arg subject "$subject" \
            '{$name, $issuer, $subject, audiences: ["api://AzureADTokenExchange"]}'
    )"
    echo "$application trusts $subject"
}
for function in Archiver Sweeper; do
    arn=$(output "${function}RoleArn")
    trust "$STACK-$function" "$arn"
done
