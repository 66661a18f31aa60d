// Subscribes the archiver to the recordings of an Azure Communication Services resource, and keeps what Event Grid gives
// up on. Deploy it to the resource's group; subscribe.sh does, with the parameters of subscription.bicepparam.

@description('Name of the Communication Services resource, in the resource group that this is deployed to.')
param acsName string

@secure()
@description('The function\'s URL with ?code= and a webhook secret.')
param webhookEndpoint string

@description('Name of the event subscription.')
param subscriptionName string = 'archive-recordings'

@description('EventGridSchema or CloudEventSchemaV1_0; the function takes both.')
@allowed([
  'EventGridSchema'
  'CloudEventSchemaV1_0'
])
param eventSchema string = 'EventGridSchema'

@description('Id of a storage account that has the container for dead letters; empty to make one.')
param deadLetterAccountId string = ''

@description('The container for dead letters.')
param deadLetterContainer string = 'dead-letters'

@description('Where to make the storage account.')
param location string = resourceGroup().location

@description('The Entra ID tenant that issues tokens for the deliveries; empty for none.')
param entraTenantId string = ''

@description('The application id or URI that the tokens are for (ENTRA_AUDIENCE of the function); empty for none.')
param entraAudience string = ''

var makesAccount = empty(deadLetterAccountId)
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

// An extension of the ACS resource rather than of a system topic: a resource can have only one of those, and may have it.
resource eventSubscription 'Microsoft.EventGrid/eventSubscriptions@2025-02-15' = {
  name: subscriptionName
  scope: acs
  properties: {
    destination: {
      endpointType: 'WebHook'
      properties: {
        endpointUrl: webhookEndpoint
        // One event a delivery, so that each is answered for itself.
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
    // As long, and as often, as Event Grid can.
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
  ]
}

@description('The storage account of the dead letters, as replay-dead-letters.sh takes it.')
output deadLetterAccount string = makesAccount ? accountName : last(split(deadLetterAccountId, '/'))

@description('Their container.')
output deadLetterContainer string = deadLetterContainer

@description('The topic of the events, as EVENT_GRID_TOPICS takes it.')
output topic string = acs.id
