//! One order's part of the vault, as it is shown: each hub with its links and the history of its satellites.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

/// All that the vault holds of one order. Rows of links and satellites stay for ever, so that what a version said and a later
/// one took back is here as well.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderHistory {
    /// The order: its row of `h_order`.
    pub order: OrderHub,
    /// What the vault holds to be so at present.
    pub current: Current,
    /// Its rows of `s_order_status`, the newest version first.
    pub statuses: Vec<StatusRow>,
    /// Its rows of `s_order_cost`, the newest version first.
    pub costs: Vec<CostRow>,
    /// Who ordered, by `l_order_user`: one, unless the source said otherwise later.
    pub users: Vec<UserHub>,
    /// What was ordered, by `l_order_product`: each dish that any version named.
    pub products: Vec<ProductHub>,
    /// Whose dishes these are, by `l_product_restaurant`. The vault does not say at which of them an order was placed.
    pub restaurants: Vec<RestaurantHub>,
}

/// The current values: of each satellite the row with the greatest `effective_dt`, of equal ones that with the greatest
/// `load_dt`, as the views `dds.*_current` have it. Null where a satellite has none.
#[derive(Debug, Serialize, ToSchema)]
pub struct Current {
    /// How the order stands.
    #[schema(example = "CLOSED")]
    pub status: Option<String>,
    /// For how much: a decimal number as text, since many programs would read a JSON number less exactly.
    #[schema(example = "300.50000")]
    pub cost: Option<String>,
    /// How much was paid, likewise.
    #[schema(example = "300.50000")]
    pub payment: Option<String>,
    /// What each user is called.
    pub users: Vec<CurrentUser>,
    /// What each dish is called.
    pub products: Vec<CurrentProduct>,
    /// What each restaurant is called.
    pub restaurants: Vec<CurrentRestaurant>,
}

/// A user as they are called at present.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurrentUser {
    /// The source's id.
    #[schema(example = "626a81cfefa404208fe9abae")]
    pub user_id: String,
    /// Their name.
    pub username: Option<String>,
    /// Their login.
    pub userlogin: Option<String>,
}

/// A dish as it is called at present.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurrentProduct {
    /// The source's id.
    #[schema(example = "6276e8cd0cf48b4cded00877")]
    pub product_id: String,
    /// Its name.
    pub name: Option<String>,
}

/// A restaurant as it is called at present.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurrentRestaurant {
    /// The source's id.
    #[schema(example = "626a81cfefa404208fe9abae")]
    pub restaurant_id: String,
    /// Its name.
    pub name: Option<String>,
}

/// A row of `h_order`.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct OrderHub {
    /// `h_order_pk`.
    pub hub_key: Uuid,
    /// The source's number.
    #[schema(example = 1)]
    pub order_id: i64,
    /// When it was ordered, UTC.
    pub order_dt: DateTime<Utc>,
    /// When the row was loaded, UTC.
    pub load_dt: DateTime<Utc>,
    /// Where it was loaded from.
    #[schema(example = "orders-system-kafka")]
    pub load_src: String,
}

/// A row of a link table.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct LinkRow {
    /// `hk_…_pk`.
    pub link_key: Uuid,
    /// When the row was loaded, UTC.
    #[sqlx(rename = "link_load_dt")]
    pub load_dt: DateTime<Utc>,
    /// Where it was loaded from.
    #[sqlx(rename = "link_load_src")]
    #[schema(example = "orders-system-kafka")]
    pub load_src: String,
}

/// A row of `h_user`.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct UserHub {
    /// `h_user_pk`.
    pub hub_key: Uuid,
    /// The source's id.
    #[schema(example = "626a81cfefa404208fe9abae")]
    pub user_id: String,
    /// When the row was loaded, UTC.
    pub load_dt: DateTime<Utc>,
    /// Where it was loaded from.
    #[schema(example = "orders-system-kafka")]
    pub load_src: String,
    /// The row of `l_order_user`.
    #[sqlx(flatten)]
    pub link: LinkRow,
    /// The rows of `s_user_names`, the newest version first.
    #[sqlx(skip)]
    pub names: Vec<UserNameRow>,
}

/// A row of `h_product`.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct ProductHub {
    /// `h_product_pk`.
    pub hub_key: Uuid,
    /// The source's id.
    #[schema(example = "6276e8cd0cf48b4cded00877")]
    pub product_id: String,
    /// When the row was loaded, UTC.
    pub load_dt: DateTime<Utc>,
    /// Where it was loaded from.
    #[schema(example = "orders-system-kafka")]
    pub load_src: String,
    /// The row of `l_order_product`.
    #[sqlx(flatten)]
    pub link: LinkRow,
    /// The rows of `s_product_names`, the newest version first.
    #[sqlx(skip)]
    pub names: Vec<NameRow>,
    /// The categories that it was ever in, by name.
    #[sqlx(skip)]
    pub categories: Vec<CategoryHub>,
    /// The restaurants whose menus it was ever on, by id.
    #[sqlx(skip)]
    pub restaurants: Vec<SoldBy>,
}

/// A row of `h_category`.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct CategoryHub {
    /// `h_category_pk`.
    pub hub_key: Uuid,
    /// Its name, which is its id.
    #[schema(example = "Выпечка")]
    pub category_name: String,
    /// When the row was loaded, UTC.
    pub load_dt: DateTime<Utc>,
    /// Where it was loaded from.
    #[schema(example = "orders-system-kafka")]
    pub load_src: String,
    /// The row of `l_product_category`.
    #[sqlx(flatten)]
    pub link: LinkRow,
}

/// That a dish is a restaurant's; `restaurants` has the restaurant.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct SoldBy {
    /// `h_restaurant_pk`.
    pub hub_key: Uuid,
    /// The row of `l_product_restaurant`.
    #[sqlx(flatten)]
    pub link: LinkRow,
}

/// A row of `h_restaurant`.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct RestaurantHub {
    /// `h_restaurant_pk`.
    pub hub_key: Uuid,
    /// The source's id.
    #[schema(example = "626a81cfefa404208fe9abae")]
    pub restaurant_id: String,
    /// When the row was loaded, UTC.
    pub load_dt: DateTime<Utc>,
    /// Where it was loaded from.
    #[schema(example = "orders-system-kafka")]
    pub load_src: String,
    /// The rows of `s_restaurant_names`, the newest version first.
    #[sqlx(skip)]
    pub names: Vec<NameRow>,
}

/// A row of `s_order_status`.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct StatusRow {
    /// How the order stood.
    #[schema(example = "CLOSED")]
    pub status: String,
    /// The newest version that said so, UTC.
    pub effective_dt: DateTime<Utc>,
    /// When the row was loaded, UTC.
    pub load_dt: DateTime<Utc>,
    /// Where it was loaded from.
    #[schema(example = "orders-system-kafka")]
    pub load_src: String,
}

/// A row of `s_order_cost`. Amounts are decimal numbers as text, since many programs would read a JSON number less exactly.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct CostRow {
    /// For how much.
    #[schema(example = "300.50000")]
    pub cost: String,
    /// How much was paid.
    #[schema(example = "300.50000")]
    pub payment: String,
    /// The newest version that said so, UTC.
    pub effective_dt: DateTime<Utc>,
    /// When the row was loaded, UTC.
    pub load_dt: DateTime<Utc>,
    /// Where it was loaded from.
    #[schema(example = "orders-system-kafka")]
    pub load_src: String,
}

/// A row of `s_user_names`.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct UserNameRow {
    /// The name.
    pub username: String,
    /// The login.
    pub userlogin: String,
    /// The newest version of the dictionary that said so, UTC.
    pub effective_dt: DateTime<Utc>,
    /// When the row was loaded, UTC.
    pub load_dt: DateTime<Utc>,
    /// Where it was loaded from.
    #[schema(example = "orders-system-kafka")]
    pub load_src: String,
}

/// A row of `s_product_names` or `s_restaurant_names`.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct NameRow {
    /// The name.
    pub name: String,
    /// The newest version of the dictionary that said so, UTC.
    pub effective_dt: DateTime<Utc>,
    /// When the row was loaded, UTC.
    pub load_dt: DateTime<Utc>,
    /// Where it was loaded from.
    #[schema(example = "orders-system-kafka")]
    pub load_src: String,
}
