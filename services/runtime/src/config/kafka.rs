//! The broker's settings and what they mean to the client.

use std::path::Path;

use rdkafka::ClientConfig;

use super::{Secret, Settings, TAKES_CERTIFICATES, any_text, certificates, port};

/// Where the images of the replaced services kept their CA.
const INHERITED_CA: &str = "/crt/YandexInternalRootCA.crt";

/// The names that a layer uses where none are set.
#[derive(Clone, Copy, Debug)]
pub struct Topics {
    /// The consumer group of the layer's own.
    pub group: &'static str,
    /// Where its records come from.
    pub source: &'static str,
    /// Where its messages go; `None` for the last layer.
    pub destination: Option<&'static str>,
}

/// How to reach Kafka, and what to read and write there.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// `host:port`, joined by commas.
    pub brokers: String,
    /// The consumer group.
    pub group: String,
    /// Where records come from.
    pub source_topic: String,
    /// Where messages go; `None` for the last layer.
    pub destination_topic: Option<String>,
    security_protocol: String,
    ca: Option<String>,
    login: Option<Login>,
}

#[derive(Clone, Debug)]
struct Login {
    mechanism: String,
    user: String,
    password: Secret,
}

impl KafkaConfig {
    pub(super) fn read(settings: &mut Settings, topics: Topics) -> Option<Self> {
        let port = settings.or("KAFKA_PORT", 9092, "a port from 1 to 65535", port);
        let hosts =
            settings.required("KAFKA_HOST", "host names joined by commas, each with or without a port", any_text);
        let brokers = hosts.zip(port).and_then(|(hosts, port)| {
            let brokers = broker_list(&hosts, port);
            if brokers.is_none() {
                settings.fault("KAFKA_HOST", Some(&hosts), "host names joined by commas, each with or without a port");
            }
            brokers
        });
        let takes_topic = "a topic's name: letters, digits, '.', '_' and '-', 249 at the most";
        let group = settings.or("KAFKA_CONSUMER_GROUP", topics.group.to_owned(), "a group's name", any_text);
        let source_topic = settings.or("KAFKA_SOURCE_TOPIC", topics.source.to_owned(), takes_topic, topic);
        let destination_topic = match topics.destination {
            Some(name) => settings.or("KAFKA_DESTINATION_TOPIC", name.to_owned(), takes_topic, topic).map(Some),
            None => Some(None),
        };
        if let (Some(source), Some(Some(destination))) = (&source_topic, &destination_topic)
            && source == destination
        {
            settings.fault("KAFKA_DESTINATION_TOPIC", Some(destination), "another topic than KAFKA_SOURCE_TOPIC");
        }
        let login = Login::read(settings);
        let default_protocol = if matches!(login, Some(None)) { "PLAINTEXT" } else { "SASL_SSL" };
        let security_protocol = settings.or(
            "KAFKA_SECURITY_PROTOCOL",
            default_protocol.to_owned(),
            "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
            |text| ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"].contains(&text).then(|| text.to_owned()),
        );
        if let (Some(protocol), Some(None)) = (&security_protocol, &login)
            && protocol.starts_with("SASL")
        {
            settings.fault("KAFKA_CONSUMER_USERNAME", None, "a user name, since KAFKA_SECURITY_PROTOCOL asks for SASL");
        }
        let ca = settings.optional("KAFKA_SSL_CA_LOCATION", TAKES_CERTIFICATES, certificates);
        Some(Self {
            brokers: brokers?,
            group: group?,
            source_topic: source_topic?,
            destination_topic: destination_topic?,
            security_protocol: security_protocol?,
            ca: ca?.or_else(|| Path::new(INHERITED_CA).is_file().then(|| INHERITED_CA.to_owned())),
            login: login?,
        })
    }

    /// The settings that every client of the broker shares.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("security.protocol", &self.security_protocol)
            .set("client.id", "ordervault")
            .set("socket.keepalive.enable", "true")
            // A topic or partition that is made later is noticed within this time.
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("reconnect.backoff.max.ms", "2000");
        if let Some(ca) = self.ca.as_ref().filter(|_| self.security_protocol.ends_with("SSL")) {
            client.set("ssl.ca.location", ca);
        }
        if let Some(login) = self.login.as_ref().filter(|_| self.security_protocol.starts_with("SASL")) {
            client
                .set("sasl.mechanisms", &login.mechanism)
                .set("sasl.username", &login.user)
                .set("sasl.password", login.password.reveal());
        }
        client
    }
}

impl Login {
    /// The outer `None` is a fault; the inner one means that no user name is set.
    #[expect(clippy::option_option, reason = "a fault and an absent login are two different things")]
    fn read(settings: &mut Settings) -> Option<Option<Self>> {
        let user = settings.optional("KAFKA_CONSUMER_USERNAME", "a user name", any_text);
        let password = settings.secret("KAFKA_CONSUMER_PASSWORD");
        let mechanism = settings.or(
            "KAFKA_SASL_MECHANISM",
            "SCRAM-SHA-512".to_owned(),
            "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
            |text| ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].contains(&text).then(|| text.to_owned()),
        );
        let Some(user) = user? else { return mechanism.map(|_| None) };
        if password.is_none() {
            settings.fault("KAFKA_CONSUMER_PASSWORD", None, "the password of KAFKA_CONSUMER_USERNAME");
        }
        Some(Some(Self { mechanism: mechanism?, user, password: password?.into() }))
    }
}

fn topic(text: &str) -> Option<String> {
    let fits = text.len() <= 249
        && ![".", ".."].contains(&text)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    fits.then(|| text.to_owned())
}

fn broker_list(hosts: &str, default_port: u16) -> Option<String> {
    let broker = |host: &str| {
        let host = host.trim();
        let (name, own_port) = match host.rsplit_once(':') {
            // A bracketed IPv6 address has colons of its own.
            Some((name, text)) if !text.ends_with(']') => (name, port(text)?),
            _ => (host, default_port),
        };
        let fits =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte));
        fits.then(|| format!("{name}:{own_port}"))
    };
    Some(hosts.split(',').map(broker).collect::<Option<Vec<_>>>()?.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_hosts_take_the_port_that_they_do_not_bring() {
        assert_eq!(broker_list("a, b:9091,[::1]", 9092).as_deref(), Some("a:9092,b:9091,[::1]:9092"));
        assert_eq!(broker_list("a,,b", 9092), None);
        assert_eq!(broker_list("a:x", 9092), None);
    }

    fn read(pairs: &[(&str, &str)]) -> (Option<KafkaConfig>, Vec<String>) {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut settings = Settings::of(pairs);
        let config = KafkaConfig::read(&mut settings, Topics { group: "g", source: "a", destination: Some("b") });
        (config, settings.faults().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_user_name_means_scram_over_tls_and_none_means_plaintext() {
        let (config, _) = read(&[("KAFKA_HOST", "k")]);
        assert_eq!(config.unwrap().client().get("security.protocol"), Some("PLAINTEXT"));
        let (config, _) =
            read(&[("KAFKA_HOST", "k"), ("KAFKA_CONSUMER_USERNAME", "u"), ("KAFKA_CONSUMER_PASSWORD", "p")]);
        let client = config.unwrap().client();
        assert_eq!(client.get("security.protocol"), Some("SASL_SSL"));
        assert_eq!(client.get("sasl.mechanisms"), Some("SCRAM-SHA-512"));
    }

    #[test]
    fn a_password_is_never_shown() {
        let (config, _) =
            read(&[("KAFKA_HOST", "k"), ("KAFKA_CONSUMER_USERNAME", "u"), ("KAFKA_CONSUMER_PASSWORD", "s3cret")]);
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn reading_and_writing_the_same_topic_is_a_fault() {
        let (_, faults) = read(&[("KAFKA_HOST", "k"), ("KAFKA_SOURCE_TOPIC", "b")]);
        assert!(faults[0].starts_with("KAFKA_DESTINATION_TOPIC"), "{faults:?}");
    }
}
