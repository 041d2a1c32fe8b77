//! What an operator's program does with the generated client: `drive URL TOKEN`.

use ordervault_client::apis::configuration::Configuration;
use ordervault_client::apis::{consumer_api as consumer, operations_api as operations};
use ordervault_client::models::{
    DesiredName, Operation, PauseRequest, ResetAnswer, ResetRequest, State, Target, TargetEnd,
};

const WAIT: Option<&str> = Some("60s");

fn done(operation: &Operation) {
    assert_eq!(operation.state, State::Done, "{operation:?}");
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut layer = Configuration::new();
    layer.base_path = arguments.next().expect("a URL");
    layer.bearer_access_token = arguments.next();

    done(&consumer::pause_consumer(&layer, PauseRequest::new("a look".to_owned()), WAIT).unwrap());
    assert_eq!(consumer::get_consumer(&layer).unwrap().desired_state, DesiredName::Paused);

    let mut request = ResetRequest::new(Target::TargetEnd(TargetEnd::Earliest));
    let planned = match consumer::reset_offsets(&layer, request.clone(), None, None).unwrap() {
        ResetAnswer::Plan(plan) => plan.partitions.len(),
        ResetAnswer::Operation(operation) => panic!("no dry run: {operation:?}"),
    };
    request.dry_run = Some(false);
    request.reason = Some("once more".to_owned());
    let reset = match consumer::reset_offsets(&layer, request, WAIT, None).unwrap() {
        ResetAnswer::Operation(operation) => *operation,
        ResetAnswer::Plan(plan) => panic!("a dry run: {plan:?}"),
    };
    done(&reset);
    let read = operations::get_operation(&layer, &reset.id.to_string(), None).unwrap();
    assert_eq!(read.results.len(), planned, "{read:?}");

    done(&consumer::resume_consumer(&layer, WAIT, None).unwrap());
    println!("paused, reset {planned} partitions, resumed");
}
