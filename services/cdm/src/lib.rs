//! CDM: how often each user ordered each dish and category, each restaurant each category.
