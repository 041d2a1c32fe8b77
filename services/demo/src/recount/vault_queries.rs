//! How the vault's tables are read: a row's key, what must be right of it, and its names, each as text.

pub(super) const H_USER: &str = "SELECT h_user_pk::text, concat('user_id=', user_id), '' FROM dds.h_user";

pub(super) const H_PRODUCT: &str =
    "SELECT h_product_pk::text, concat('product_id=', product_id), '' FROM dds.h_product";

pub(super) const H_CATEGORY: &str =
    "SELECT h_category_pk::text, concat('category_name=', category_name), '' FROM dds.h_category";

pub(super) const H_RESTAURANT: &str =
    "SELECT h_restaurant_pk::text, concat('restaurant_id=', restaurant_id), '' FROM dds.h_restaurant";

pub(super) const H_ORDER: &str = "SELECT h_order_pk::text, \
    concat('order_id=', order_id, ' order_dt=', to_char(order_dt, 'YYYY-MM-DD HH24:MI:SS.US')), '' FROM dds.h_order";

pub(super) const L_ORDER_USER: &str = "SELECT hk_order_user_pk::text, \
    concat('h_order_pk=', h_order_pk, ' h_user_pk=', h_user_pk), '' FROM dds.l_order_user";

pub(super) const L_ORDER_PRODUCT: &str = "SELECT hk_order_product_pk::text, \
    concat('h_order_pk=', h_order_pk, ' h_product_pk=', h_product_pk), '' FROM dds.l_order_product";

pub(super) const L_PRODUCT_RESTAURANT: &str = "SELECT hk_product_restaurant_pk::text, \
    concat('h_restaurant_pk=', h_restaurant_pk, ' h_product_pk=', h_product_pk), '' FROM dds.l_product_restaurant";

pub(super) const L_PRODUCT_CATEGORY: &str = "SELECT hk_product_category_pk::text, \
    concat('h_category_pk=', h_category_pk, ' h_product_pk=', h_product_pk), '' FROM dds.l_product_category";

pub(super) const S_ORDER_STATUS: &str = "SELECT hk_order_status_pk::text, \
    concat('h_order_pk=', h_order_pk, ' status=', status, \
           ' effective_dt=', to_char(effective_dt, 'YYYY-MM-DD HH24:MI:SS.US')), '' FROM dds.s_order_status";

pub(super) const S_ORDER_COST: &str = "SELECT hk_order_cost_pk::text, \
    concat('h_order_pk=', h_order_pk, ' cost=', cost, ' payment=', payment, \
           ' effective_dt=', to_char(effective_dt, 'YYYY-MM-DD HH24:MI:SS.US')), '' FROM dds.s_order_cost";

pub(super) const CURRENT_STATUS: &str = "SELECT DISTINCT ON (h_order_pk) h_order_pk::text, \
    concat('status=', status), '' FROM dds.s_order_status \
    ORDER BY h_order_pk, effective_dt DESC NULLS LAST, load_dt DESC";

pub(super) const CURRENT_COST: &str = "SELECT DISTINCT ON (h_order_pk) h_order_pk::text, \
    concat('cost=', cost, ' payment=', payment), '' FROM dds.s_order_cost \
    ORDER BY h_order_pk, effective_dt DESC NULLS LAST, load_dt DESC";

pub(super) const CURRENT_USER_NAMES: &str = "SELECT DISTINCT ON (h_user_pk) h_user_pk::text, \
    '', concat('username=', username, ' userlogin=', userlogin) FROM dds.s_user_names \
    ORDER BY h_user_pk, effective_dt DESC NULLS LAST, load_dt DESC";

pub(super) const CURRENT_RESTAURANT_NAMES: &str = "SELECT DISTINCT ON (h_restaurant_pk) h_restaurant_pk::text, \
    '', concat('name=', name) FROM dds.s_restaurant_names \
    ORDER BY h_restaurant_pk, effective_dt DESC NULLS LAST, load_dt DESC";

pub(super) const CURRENT_PRODUCT_NAMES: &str = "SELECT DISTINCT ON (h_product_pk) h_product_pk::text, \
    '', concat('name=', name) FROM dds.s_product_names \
    ORDER BY h_product_pk, effective_dt DESC NULLS LAST, load_dt DESC";

/// Names by table: each row's key and the business key over which it should have been made. Which names there are is
/// the dictionary's history, which nobody but the dictionary knows; that each is under its right key can be told.
pub(super) const NAME_KEYS: [(&str, &str); 3] = [
    (
        "s_user_names",
        "SELECT hk_user_names_pk::text, concat_ws('#$#', user_id, username, userlogin), '' \
         FROM dds.s_user_names JOIN dds.h_user USING (h_user_pk)",
    ),
    (
        "s_restaurant_names",
        "SELECT hk_restaurant_names_pk::text, concat_ws('#$#', restaurant_id, name), '' \
         FROM dds.s_restaurant_names JOIN dds.h_restaurant USING (h_restaurant_pk)",
    ),
    (
        "s_product_names",
        "SELECT hk_product_names_pk::text, concat_ws('#$#', product_id, name), '' \
         FROM dds.s_product_names JOIN dds.h_product USING (h_product_pk)",
    ),
];
