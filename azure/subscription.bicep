// Subscribes the archiver to the recordings of an Azure Communication Services resource, with a
// container for the events that Event Grid gives up on, and alerts. subscribe.sh deploys it to the
// resource's group, with the parameters of subscription.bicepparam.

@description('The Communication Services resource, in the resource group of this deployment.')
param acsName string

@secure()
@description('The URL of the function, with ?code= and a webhook secret.')
param webhookEndpoint string

@description('Name of the event subscription.')
param subscriptionName string = 'archive-recordings'

@description('EventGridSchema or CloudEventSchemaV1_0; the function takes both.')
@allowed([
  'EventGridSchema'
  'CloudEventSchemaV1_0'
])
param eventSchema string = 'EventGridSchema'

@description('The id of a storage account for the dead letters; empty to make an account.')
param deadLetterAccountId string = ''

@description('The container of the dead letters.')
param deadLetterContainer string = 'dead-letters'

@description('The location of the storage account.')
param location string = resourceGroup().location

@description('The Entra ID tenant that issues tokens for the deliveries; empty for none.')
param entraTenantId string = ''

@description('The audience of the tokens (ENTRA_AUDIENCE of the function); empty for none.')
param entraAudience string = ''

@description('The id of the one system topic of the resource; empty to make it.')
param systemTopicId string = ''

@description('The address for alerts; empty for the portal alone.')
param alarmEmail string = ''

var makesAccount = empty(deadLetterAccountId)
var makesTopic = empty(systemTopicId)
var sendsAlerts = !empty(alarmEmail)
// Event Grid has the name in upper case in its headers, and documents no case for its metrics.
var subscriptionNames = [
  subscriptionName
  toUpper(subscriptionName)
]
// Event Grid itself raises the alerts, so nobody can forge them from outside, and only they show
// that AWS refuses the calls before the function sees them (a removed permission). Event Grid tries
// again unless the answer is 400, 401, 403 or 413, so two failures raise no alert.
var alerts = [
  {
    name: 'dead-lettered'
    description: 'Event Grid has given up on an event and put it into the dead-letter container. Replay it: RUNBOOK.md.'
    severity: 1
    metric: 'DeadLetteredCount'
    threshold: 1
    window: 'PT5M'
  }
  {
    name: 'dropped'
    description: 'Event Grid has dropped an event that it could not dead-letter: the recording will be lost. RUNBOOK.md.'
    severity: 0
    metric: 'DroppedEventCount'
    threshold: 1
    window: 'PT5M'
  }
  {
    name: 'deliveries-failing'
    description: 'Deliveries to the function fail, and Event Grid tries them again or has given up on them. RUNBOOK.md.'
    severity: 2
    metric: 'DeliveryAttemptFailCount'
    threshold: 3
    window: 'PT15M'
  }
]
// 24 characters, the most that a storage account's name may have.
var accountName = 'deadletters${uniqueString(resourceGroup().id, acsName)}'

resource acs 'Microsoft.Communication/communicationServices@2023-04-01' existing = {
  name: acsName
}

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = if (makesAccount) {
  name: accountName
  location: location
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS'
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = if (makesAccount) {
  parent: account
  name: 'default'
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = if (makesAccount) {
  parent: blobs
  name: deadLetterContainer
  properties: {
    publicAccess: 'None'
  }
}

// The alerts use its metrics.
resource systemTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' = if (makesTopic) {
  name: '${acsName}-events'
  location: 'global'
  properties: {
    source: acs.id
    topicType: 'Microsoft.Communication.CommunicationServices'
  }
}

// An extension of the ACS resource, since the name and group of the system topic depend on who made
// it.
resource eventSubscription 'Microsoft.EventGrid/eventSubscriptions@2025-02-15' = {
  name: subscriptionName
  scope: acs
  properties: {
    destination: {
      endpointType: 'WebHook'
      properties: {
        endpointUrl: webhookEndpoint
        // One event a delivery, so that each has its own answer.
        maxEventsPerBatch: 1
        minimumTlsVersionAllowed: '1.2'
        azureActiveDirectoryTenantId: empty(entraTenantId) ? null : entraTenantId
        azureActiveDirectoryApplicationIdOrUri: empty(entraAudience) ? null : entraAudience
      }
    }
    eventDeliverySchema: eventSchema
    filter: {
      includedEventTypes: [
        'Microsoft.Communication.RecordingFileStatusUpdated'
      ]
    }
    // Event Grid's maximum of time and of attempts.
    retryPolicy: {
      eventTimeToLiveInMinutes: 1440
      maxDeliveryAttempts: 30
    }
    deadLetterDestination: {
      endpointType: 'StorageBlob'
      properties: {
        resourceId: makesAccount ? account.id : deadLetterAccountId
        blobContainerName: deadLetterContainer
      }
    }
  }
  dependsOn: [
    container
    // Without a system topic, Event Grid makes one with a name of its own.
    systemTopic
  ]
}

resource onCall 'Microsoft.Insights/actionGroups@2023-01-01' = if (sendsAlerts) {
  name: '${subscriptionName}-on-call'
  location: 'global'
  properties: {
    enabled: true
    groupShortName: 'recordings'
    emailReceivers: [
      {
        name: 'on-call'
        emailAddress: alarmEmail
        useCommonAlertSchema: true
      }
    ]
  }
}

resource deliveryAlerts 'Microsoft.Insights/metricAlerts@2018-03-01' = [for alert in alerts: {
  name: '${subscriptionName}-${alert.name}'
  location: 'global'
  properties: {
    description: alert.description
    enabled: true
    severity: alert.severity
    scopes: [
      makesTopic ? systemTopic.id : systemTopicId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: alert.window
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: alert.name
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: 'Microsoft.EventGrid/systemTopics'
          metricName: alert.metric
          dimensions: [
            {
              name: 'EventSubscriptionName'
              operator: 'Include'
              values: subscriptionNames
            }
          ]
          operator: 'GreaterThanOrEqual'
          threshold: alert.threshold
          timeAggregation: 'Total'
        }
      ]
    }
    autoMitigate: true
    actions: sendsAlerts ? [
      {
        actionGroupId: onCall.id
      }
    ] : []
  }
}]

@description('The storage account of the dead letters, for replay-dead-letters.sh.')
output deadLetterAccount string = makesAccount ? accountName : last(split(deadLetterAccountId, '/'))

@description('The container of the dead letters, for replay-dead-letters.sh.')
output deadLetterContainer string = deadLetterContainer

@description('The topic of the events, for EVENT_GRID_TOPICS.')
output topic string = acs.id
