//! The table of what each operation answers to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ordervault_demo::stage::{LAYERS, Service, Stage};
use serde_json::Value;

use super::document::{Operation, operations};

const START: Duration = Duration::from_mins(1);
const OPS: &str = "ops-token";
const READ: &str = "read-token";

/// What an operation answers to whoever may ask, and who that is.
#[derive(Clone, Copy)]
enum Rule {
    Everyone(u16),
    Readers(u16),
    Operators(u16),
}

/// The rule of every operation; one that was never thought about has none. The ids that are asked for belong to
/// nothing, so that 404 is what whoever may ask is told; the first examples of what can be a dry run are dry runs.
const RULES: [(&str, Rule); 35] = [
    ("livez", Rule::Everyone(200)),
    ("readyz", Rule::Everyone(200)),
    ("metrics", Rule::Everyone(200)),
    ("getConsumer", Rule::Readers(200)),
    ("getOffsets", Rule::Readers(200)),
    ("pauseConsumer", Rule::Operators(202)),
    ("resumeConsumer", Rule::Operators(202)),
    ("resetOffsets", Rule::Operators(200)),
    ("listDeadLetters", Rule::Readers(200)),
    ("summariseDeadLetters", Rule::Readers(200)),
    ("getDeadLetter", Rule::Readers(404)),
    ("replayDeadLetters", Rule::Operators(200)),
    ("replayDeadLetter", Rule::Operators(404)),
    ("discardDeadLetter", Rule::Operators(404)),
    ("getOrderEvent", Rule::Readers(404)),
    ("republishOrderEvents", Rule::Operators(200)),
    ("listUserProductCounters", Rule::Readers(200)),
    ("changesOfUserProductCounters", Rule::Readers(200)),
    ("listUserCategoryCounters", Rule::Readers(200)),
    ("changesOfUserCategoryCounters", Rule::Readers(200)),
    ("listRestaurantCategoryCounters", Rule::Readers(200)),
    ("changesOfRestaurantCategoryCounters", Rule::Readers(200)),
    ("listProductCounters", Rule::Readers(200)),
    ("changesOfProductCounters", Rule::Readers(200)),
    ("listCategoryCounters", Rule::Readers(200)),
    ("changesOfCategoryCounters", Rule::Readers(200)),
    // Without a dish or a category there is nobody to list.
    ("listUsersOfSegment", Rule::Readers(400)),
    ("getOrder", Rule::Readers(404)),
    ("getContribution", Rule::Readers(404)),
    ("listOrdersOfUserProduct", Rule::Readers(404)),
    ("listOrdersOfUserCategory", Rule::Readers(404)),
    ("auditCounters", Rule::Operators(202)),
    ("listOperations", Rule::Readers(200)),
    ("getOperation", Rule::Readers(404)),
    ("cancelOperation", Rule::Operators(404)),
];

/// How a replica is guarded.
#[derive(Clone, Copy, Debug)]
enum Guard {
    /// Tokens for changes and for reads.
    Whole,
    /// Tokens for changes only: who reads needs none.
    Changes,
    /// No tokens at all: nothing can be changed.
    None,
}

impl Guard {
    const ALL: [Self; 3] = [Self::Whole, Self::Changes, Self::None];

    /// Every operation is asked with wrong tokens, which must not count as too many.
    fn settings(self) -> [(&'static str, &'static str); 3] {
        let (ops, read) = match self {
            Self::Whole => ("alice:ops-token", "grafana:read-token"),
            Self::Changes => ("alice:ops-token", ""),
            Self::None => ("", ""),
        };
        [("API_OPS_TOKENS", ops), ("API_READ_TOKENS", read), ("API_FAILED_LOGINS_PER_MINUTE", "10000")]
    }

    /// What is answered to nobody, to a token that nobody has, to the read token and to the ops token.
    fn answers(self, rule: Rule) -> [u16; 4] {
        match (rule, self) {
            (Rule::Everyone(status), _) => [status; 4],
            (Rule::Readers(status), Self::Whole) => [401, 401, status, status],
            (Rule::Readers(status), Self::Changes) => [status, 401, 401, status],
            (Rule::Readers(status), Self::None) => [status, 401, 401, 401],
            (Rule::Operators(status), Self::Whole) => [401, 401, 403, status],
            (Rule::Operators(status), Self::Changes) => [401, 401, 401, status],
            (Rule::Operators(_), Self::None) => [403; 4],
        }
    }
}

/// What an operation answers to each of the four; a refusal has to be a problem with the code that belongs to it.
async fn answers(operation: &Operation, service: &Service) -> [u16; 4] {
    let mut answers = [0; 4];
    for (answer, token) in answers.iter_mut().zip([None, Some("nobodys-token"), Some(READ), Some(OPS)]) {
        let response = operation.ask(service, token).await;
        *answer = response.status().as_u16();
        let codes: &[&str] = match *answer {
            401 => {
                assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
                &["token_missing", "token_unknown"]
            }
            403 => &["ops_token_needed", "changes_disabled"],
            _ => continue,
        };
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: Value = response.json().await.unwrap();
        assert!(codes.contains(&problem["code"].as_str().unwrap()), "{}: {problem}", operation.id);
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_of_every_layer_answers_each_token_as_its_rule_says() {
    let stage = Stage::build("routes", 1).await.unwrap();
    let rules = BTreeMap::from(RULES);
    let mut met = BTreeSet::new();
    for layer in LAYERS {
        for guard in Guard::ALL {
            let service = stage.start(layer, &guard.settings()).unwrap();
            service.ready(START).await.unwrap();
            let operations = operations(&service).await;
            let (mut expected, mut found) = (BTreeMap::new(), BTreeMap::new());
            for operation in &operations {
                let rule = rules.get(operation.id.as_str());
                let rule = *rule.unwrap_or_else(|| panic!("{layer}: there is no rule for {}", operation.id));
                expected.insert(&operation.id, guard.answers(rule));
                found.insert(&operation.id, answers(operation, &service).await);
            }
            assert_eq!(found, expected, "{layer}, {guard:?}");
            met.extend(operations.into_iter().map(|operation| operation.id));
        }
    }
    let known: BTreeSet<String> = rules.keys().map(|id| (*id).to_owned()).collect();
    assert_eq!(met, known, "a rule is of an operation that there is no more");
    stage.tear_down().await.unwrap();
}
