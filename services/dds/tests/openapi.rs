//! The committed OpenAPI document.

use ordervault_dds::Dds;
use ordervault_runtime::program::openapi;

#[test]
fn the_committed_document_is_that_of_the_code() {
    let committed = include_str!("../../../openapi/dds.json");
    assert!(committed == openapi::<Dds>(), "openapi/dds.json is not what the code says; ./dev openapi writes it anew");
}
