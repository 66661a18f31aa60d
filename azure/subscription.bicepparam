using 'subscription.bicep'

// From the environment, so that the secret is neither in a file nor in a list of processes.
// subscribe.sh sets the first two, and finds the system topic and the address if they are not set.
param acsName = readEnvironmentVariable('ACS_NAME')
param webhookEndpoint = readEnvironmentVariable('WEBHOOK_ENDPOINT')

param subscriptionName = readEnvironmentVariable('SUBSCRIPTION_NAME', 'archive-recordings')
param eventSchema = readEnvironmentVariable('EVENT_SCHEMA', 'EventGridSchema')
param deadLetterAccountId = readEnvironmentVariable('DEAD_LETTER_ACCOUNT_ID', '')
param deadLetterContainer = readEnvironmentVariable('DEAD_LETTER_CONTAINER', 'dead-letters')
param entraTenantId = readEnvironmentVariable('ENTRA_TENANT_ID', '')
param entraAudience = readEnvironmentVariable('ENTRA_AUDIENCE', '')
param systemTopicId = readEnvironmentVariable('SYSTEM_TOPIC_ID', '')
param alarmEmail = readEnvironmentVariable('ALARM_EMAIL', '')
