//! The commands for another terminal during `--serve`: deliver, list, audit.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::archive::{TARGET, shown};
use crate::setup::WORK;
use harness::embedded::{Embedded, REGION};

/// The file of an event to deliver.
const EVENT: &str = "local-event.json";

/// Writes a new event to a file and returns the commands.
pub(crate) fn commands(embedded: &Embedded, url: &str) -> Result<String, String> {
    let file = Path::new(TARGET).join(EVENT);
    let event = event(embedded.acs.media_host());
    let written = fs::write(&file, event.to_string());
    written.map_err(|error| format!("{}: {error}", file.display()))?;
    let s3 = &embedded.s3;
    let (file, bucket, endpoint) = (shown(&file), s3.bucket(), s3.endpoint());
    let (id, key) = (s3.access_key_id(), s3.secret_access_key());
    Ok(format!(
        "Serving until Ctrl-C. In another terminal, deliver an event:

  curl -X POST '{url}' \\
    -H 'content-type: application/json' -d @{file}

or a sample, whose event is in a Lambda payload:

  jq -r 'if .isBase64Encoded then .body | @base64d else .body end' \\
    events/recording-three-chunks.json |
    curl -X POST '{url}' \\
      -H 'content-type: application/json' -d @-

list the archive, and audit it:

  export AWS_ACCESS_KEY_ID={id}
  export AWS_SECRET_ACCESS_KEY={key}
  export AWS_REGION={REGION} AWS_DEFAULT_REGION={REGION}
  aws s3 ls --recursive s3://{bucket}/ \\
    --endpoint-url {endpoint}
  AWS_ENDPOINT_URL_S3={endpoint} \\
    cargo run --bin audit -- --force-path-style \\
      --bucket {bucket} --work-bucket {WORK}

and write the audit as a page, compared with a log of ACS that has one
recording more:

  AWS_ENDPOINT_URL_S3={endpoint} \\
    cargo run --bin audit -- --force-path-style \\
      --bucket {bucket} --work-bucket {WORK} \\
      --against examples/acs-log.json --format html > report.html"
    ))
}

/// The event of a recording that ends now.
fn event(media_host: &str) -> Value {
    let now = OffsetDateTime::now_utc();
    let number = now.unix_timestamp();
    let time = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    let document = format!("0-eus-d12-{number:032x}");
    let at = format!("https://{media_host}/v1/objects/{document}");
    json!([{
        "id": format!("local-event-{number}"),
        "topic": "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/calls\
            /providers/Microsoft.Communication/communicationServices/contoso",
        "subject": format!("/recording/call/local-call-{number}"),
        "data": {
            "recordingStorageInfo": {"recordingChunks": [{
                "documentId": document,
                "index": 0,
                "endReason": "SessionEnded",
                "contentLocation": format!("{at}/content/video"),
                "metadataLocation": format!("{at}/content/acsmetadata"),
                "deleteLocation": at,
            }]},
            "recordingFormatType": "Mp4",
            "recordingStartTime": time(now - time::Duration::MINUTE),
            "recordingDurationMs": 60_000,
            "sessionEndReason": "CallEnded",
        },
        "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
        "dataVersion": "1.0",
        "metadataVersion": "1",
        "eventTime": time(now),
    }])
}
