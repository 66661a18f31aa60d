use super::{Kind, Request, shared::Shared, signature::Form};

/// The resource that a path names.
pub(super) struct Target {
    pub(super) form: Option<Form>,
    pub(super) kind: Kind,
    pub(super) id: Option<String>,
}

impl Target {
    pub(super) fn parse(path: &str) -> Self {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let (form, kind, id) = match segments[..] {
            ["recording", "download", id] => (Form::Preview, Kind::Media, id),
            ["recording", "download", id, "metadata"] => (Form::Preview, Kind::Metadata, id),
            ["v1", "objects", id, "content", "video"] => (Form::Current, Kind::Media, id),
            ["v1", "objects", id, "content", "acsmetadata"] => (Form::Current, Kind::Metadata, id),
            ["v1", "objects", id] => (Form::Current, Kind::Delete, id),
            _ => {
                return Self {
                    form: None,
                    kind: Kind::Other,
                    id: None,
                };
            }
        };
        Self {
            form: Some(form),
            kind,
            id: Some(id.to_owned()),
        }
    }
}

/// The roles of a host.
#[derive(Clone, Copy)]
pub(super) struct Site {
    resource: bool,
    media: bool,
}

impl Site {
    pub(super) fn of(shared: &Shared, request: &Request) -> Option<Self> {
        let settings = &shared.settings;
        let is = |host: &str| request.host.eq_ignore_ascii_case(host);
        let site = if request.tls {
            Self {
                resource: settings.resource_host.as_deref().is_some_and(is),
                media: is(&settings.media_host) || settings.more_names.iter().any(|name| is(name)),
            }
        } else {
            Self {
                // Not the resource if the settings give it a name of its own.
                resource: is(&shared.resource) && is(&shared.plain_host),
                media: is(&shared.plain_host),
            }
        };
        (site.resource || site.media).then_some(site)
    }

    pub(super) fn serves(self, form: Form) -> bool {
        match form {
            Form::Preview => self.resource,
            Form::Current => self.media,
        }
    }
}
