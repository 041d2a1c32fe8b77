//! STG: raw orders, enriched onward.
