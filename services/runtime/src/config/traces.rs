//! Where traces go, and how many.

use super::{Settings, TAKES_CERTIFICATES, certificates};

/// One record in so many is followed where nothing else is said.
const DEFAULT_RATIO: f64 = 0.01;

/// How records are followed through the layers.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesConfig {
    /// Where the spans go, by OTLP over HTTP; nothing is followed where there is none.
    pub endpoint: Option<String>,
    /// The PEM file of the authorities that may vouch for it; the system's where there is none.
    pub ca: Option<String>,
    /// Which records are followed.
    pub sampling: Sampling,
}

/// Which records are followed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Whether what the layer before has decided for a record holds for this one as well.
    pub heeds_parent: bool,
    /// The share of the others, from 0 to 1.
    pub ratio: f64,
}

impl TracesConfig {
    pub(super) fn read(settings: &mut Settings) -> Option<Self> {
        let takes = "the address of an OpenTelemetry collector that takes OTLP over HTTP, as in http://collector:4318";
        let endpoint = settings.optional("OTEL_EXPORTER_OTLP_ENDPOINT", takes, |text| {
            let rest = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme))?;
            rest.starts_with(|first: char| first.is_alphanumeric() || first == '[')
                .then(|| text.trim_end_matches('/').to_owned())
        });
        let ca = settings.optional("OTEL_EXPORTER_OTLP_CERTIFICATE", TAKES_CERTIFICATES, certificates);
        let ratio = settings.or("OTEL_TRACES_SAMPLER_ARG", DEFAULT_RATIO, "a share from 0 to 1", |text| {
            text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
        });
        let (heeds_parent, fixed) = settings.or(
            "OTEL_TRACES_SAMPLER",
            (true, None),
            "parentbased_traceidratio, parentbased_always_on, parentbased_always_off, traceidratio, always_on or always_off",
            |text| {
                let (heeds_parent, own) = text.strip_prefix("parentbased_").map_or((false, text), |own| (true, own));
                match own {
                    "traceidratio" => Some((heeds_parent, None)),
                    "always_on" => Some((heeds_parent, Some(1.0))),
                    "always_off" => Some((heeds_parent, Some(0.0))),
                    _ => None,
                }
            },
        )?;
        let sampling = Sampling { heeds_parent, ratio: fixed.unwrap_or(ratio?) };
        Some(Self { endpoint: endpoint?, ca: ca?, sampling })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<TracesConfig, Vec<String>> {
        let variables: BTreeMap<_, _> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut settings = Settings::of(variables);
        let read = TracesConfig::read(&mut settings);
        let faults: Vec<String> = settings.faults().iter().map(ToString::to_string).collect();
        read.filter(|_| faults.is_empty()).ok_or(faults)
    }

    #[test]
    fn nothing_is_followed_without_an_endpoint_and_one_record_in_a_hundred_with_one() {
        assert_eq!(read(&[]).unwrap().endpoint, None);
        let read = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/")]).unwrap();
        assert_eq!(read.endpoint.as_deref(), Some("http://collector:4318"));
        assert_eq!(read.sampling, Sampling { heeds_parent: true, ratio: 0.01 });
    }

    #[test]
    fn a_collector_may_be_reached_by_tls() {
        let read = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://[::1]:4318")]).unwrap();
        assert_eq!((read.endpoint.as_deref(), read.ca), (Some("https://[::1]:4318"), None));
    }

    #[test]
    fn samplers_are_those_of_opentelemetry() {
        let sampling = |sampler, ratio| {
            read(&[("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", ratio)]).unwrap().sampling
        };
        assert_eq!(sampling("always_on", "0.5"), Sampling { heeds_parent: false, ratio: 1.0 });
        assert_eq!(sampling("parentbased_always_off", "0.5"), Sampling { heeds_parent: true, ratio: 0.0 });
        assert_eq!(sampling("traceidratio", "0.5"), Sampling { heeds_parent: false, ratio: 0.5 });
    }

    #[test]
    fn a_bad_value_is_named_with_what_is_taken() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://collector:4317"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https:///v1"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
            ("OTEL_TRACES_SAMPLER_ARG", "NaN"),
        ] {
            let faults = read(&[(name, value)]).unwrap_err();
            assert!(faults.len() == 1 && faults[0].contains(name) && faults[0].contains(value), "{faults:?}");
        }
    }
}
