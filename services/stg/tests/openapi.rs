//! The committed OpenAPI document.

use ordervault_runtime::program::openapi;
use ordervault_stg::Stg;

#[test]
fn the_committed_document_is_that_of_the_code() {
    let committed = include_str!("../../../openapi/stg.json");
    assert!(committed == openapi::<Stg>(), "openapi/stg.json is not what the code says; ./dev openapi writes it anew");
}
