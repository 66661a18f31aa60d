//! Archives recordings of Azure Communication Services (ACS) calls in Amazon S3.
