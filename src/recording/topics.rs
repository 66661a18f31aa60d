//! The topics whose events are archived. Pure.

/// The Event Grid topics (ids of ACS resources) whose events are archived; all topics if the list
/// is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topics(Vec<String>);

impl Topics {
    /// Parses a comma-separated list. A topic that is no resource id of Communication Services is a
    /// fault, since no event could ever come from it.
    pub(crate) fn parse(list: &str) -> Result<Self, String> {
        let named = list
            .split(',')
            .map(str::trim)
            .filter(|topic| !topic.is_empty());
        let named: Vec<_> = named.map(str::to_lowercase).collect();
        match named.iter().position(|topic| !is_resource(topic)) {
            None => Ok(Self(named)),
            Some(place) => Err(format!(
                "has a topic (number {} of {}) that is no resource id of Communication Services: \
                 /subscriptions/…/resourceGroups/…/providers/Microsoft.Communication/\
                 communicationServices/…",
                place + 1,
                named.len()
            )),
        }
    }

    /// Returns `true` if events of `topic` are archived. Event Grid writes topics in any letter
    /// case.
    pub(crate) fn accepts(&self, topic: &str) -> bool {
        self.0.is_empty() || self.0.contains(&topic.to_lowercase())
    }
}

/// Returns `true` if a topic in lower case is the id of an ACS resource.
fn is_resource(topic: &str) -> bool {
    let is_name = |name: &str| !name.is_empty() && !name.contains(char::is_whitespace);
    let names = match *topic.split('/').collect::<Vec<_>>() {
        [
            "",
            "subscriptions",
            subscription,
            "resourcegroups",
            group,
            "providers",
            "microsoft.communication",
            "communicationservices",
            name,
        ] => [subscription, group, name],
        _ => return false,
    };
    names.into_iter().all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_compared_without_case() {
        let of = |name: &str| {
            format!(
                "/subscriptions/A/resourceGroups/g/providers/Microsoft.Communication/\
                 CommunicationServices/{name}"
            )
        };
        let topics = Topics::parse(&format!("{} , {},", of("x"), of("y"))).unwrap();
        assert!(topics.accepts(&of("X").to_uppercase()) && topics.accepts(&of("y").to_lowercase()));
        assert!(!topics.accepts(&of("z")) && !topics.accepts(""));
        assert!(Topics::default().accepts("") && Topics::parse(" , ").unwrap().accepts("anything"));
    }

    #[test]
    fn a_topic_that_no_event_can_be_of_is_a_fault() {
        let good = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Communication\
            /communicationServices/contoso";
        assert!(Topics::parse(good).is_ok());
        for wrong in [
            "foo",
            "contoso.communication.azure.com",
            "/subscriptions/s",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/systemTopics/contoso",
            "/subscriptions//resourceGroups/g/providers/Microsoft.Communication/\
             communicationServices/contoso",
            &good[1..],
            &format!("{good}/"),
            &format!("{good} {good}"),
            &format!("https://management.azure.com{good}"),
        ] {
            let fault = Topics::parse(&format!("{good},, {wrong}")).unwrap_err();
            assert!(
                fault.starts_with("has a topic (number 2 of 2)"),
                "{wrong}: {fault}"
            );
        }
    }
}
