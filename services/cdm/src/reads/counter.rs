//! What there is to read: the three counters, the two that are summed over all users, and the users of a segment.

/// One kind of counter.
#[derive(Debug)]
pub struct Counter {
    /// Its name in the API's paths.
    pub name: &'static str,
    /// What follows `from`, under the alias `c`.
    pub source: &'static str,
    /// The table whose changes are its changes.
    pub table: &'static str,
    /// The columns that are shown, in their order.
    pub columns: &'static [&'static str],
    /// The column that no two rows share: the end of every order, so that it is total.
    pub unique: &'static str,
    /// The column of names that an index of the table begins with, if one does.
    pub indexed_name: Option<&'static str>,
}

/// How often each user ordered each dish.
pub const USER_PRODUCT: Counter = Counter {
    name: "user-product-counters",
    source: "cdm.user_product_counters c",
    table: "cdm.user_product_counters",
    columns: &["id", "user_id", "product_id", "product_name", "order_cnt"],
    unique: "id",
    indexed_name: None,
};

/// How often each user ordered from each category.
pub const USER_CATEGORY: Counter = Counter {
    name: "user-category-counters",
    source: "cdm.user_category_counters c",
    table: "cdm.user_category_counters",
    columns: &["id", "user_id", "category_id", "category_name", "order_cnt"],
    unique: "id",
    indexed_name: Some("category_name"),
};

/// How often each restaurant's orders had something of each category.
pub const RESTAURANT_CATEGORY: Counter = Counter {
    name: "restaurant-category-counters",
    source: "cdm.restaurant_category_counters c",
    table: "cdm.restaurant_category_counters",
    columns: &["id", "restaurant_id", "restaurant_name", "category_id", "category_name", "order_cnt"],
    unique: "id",
    indexed_name: None,
};

/// How often each dish was ordered, by whomever.
pub const PRODUCT: Counter = Counter {
    name: "product-counters",
    source: "(select product_id, max(product_name) as product_name, sum(order_cnt)::bigint as order_cnt \
             from cdm.user_product_counters group by product_id) c",
    table: "cdm.user_product_counters",
    columns: &["product_id", "product_name", "order_cnt"],
    unique: "product_id",
    indexed_name: None,
};

/// How often something of each category was ordered, by whomever.
pub const CATEGORY: Counter = Counter {
    name: "category-counters",
    source: "(select category_id, max(category_name) as category_name, sum(order_cnt)::bigint as order_cnt \
             from cdm.user_category_counters group by category_id) c",
    table: "cdm.user_category_counters",
    columns: &["category_id", "category_name", "order_cnt"],
    unique: "category_id",
    indexed_name: None,
};

/// The users who ordered from a category.
pub const USERS_OF_CATEGORY: Counter = Counter {
    name: "users",
    source: "(select k.id, k.user_id, n.name as user_name, k.order_cnt, k.category_id \
             from cdm.user_category_counters k left join cdm.names n on n.kind = 'user' and n.id = k.user_id) c",
    table: "cdm.user_category_counters",
    columns: SEGMENT_COLUMNS,
    unique: "id",
    indexed_name: None,
};

/// The users who ordered a dish.
pub const USERS_OF_PRODUCT: Counter = Counter {
    name: "users",
    source: "(select k.id, k.user_id, n.name as user_name, k.order_cnt, k.product_id \
             from cdm.user_product_counters k left join cdm.names n on n.kind = 'user' and n.id = k.user_id) c",
    table: "cdm.user_product_counters",
    columns: SEGMENT_COLUMNS,
    unique: "id",
    indexed_name: None,
};

/// What is shown of a user.
pub const SEGMENT_COLUMNS: &[&str] = &["user_id", "user_name", "order_cnt"];

impl Counter {
    /// Whether its rows are those of its table, and not sums of them.
    #[must_use]
    pub fn is_table(&self) -> bool {
        self.unique == "id"
    }
}

/// The type of a column's values in PostgreSQL.
#[must_use]
pub fn type_of(column: &str) -> &'static str {
    match column {
        "id" | "order_cnt" => "bigint",
        name if is_name(name) => "text",
        _ => "uuid",
    }
}

/// Whether a column holds names, which come from outside.
#[must_use]
pub fn is_name(column: &str) -> bool {
    column.ends_with("_name")
}
