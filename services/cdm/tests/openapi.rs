//! The committed OpenAPI document.

use ordervault_cdm::Cdm;
use ordervault_runtime::program::openapi;

#[test]
fn the_committed_document_is_that_of_the_code() {
    let committed = include_str!("../../../openapi/cdm.json");
    assert!(committed == openapi::<Cdm>(), "openapi/cdm.json is not what the code says; ./dev openapi writes it anew");
}
