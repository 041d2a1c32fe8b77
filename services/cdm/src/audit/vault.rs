//! The ledger against the vault. DDS commits an order before it tells CDM of it and never removes a row, so the vault has
//! all that the ledger has; what it has beyond that may still be on its way.

use super::check::Check;

/// How many of its tables and the ledger's are looked at.
pub(super) const TABLES: usize = 6;

/// The table whose orders may be behind.
pub(super) const LEDGER: &str = "cdm.order_ledger";

/// An order that the ledger lacks may be on its way for so long after the vault has got it, whatever the topic says.
const GRACE: &str = "interval '60 seconds'";

/// The questions; `all_under_way` says that any order which the ledger lacks may be on its way.
pub(super) fn checks(all_under_way: bool) -> [Check; TABLES] {
    [
        Check { table: LEDGER, needs: &["dds.h_order", "dds.s_order_status"], rows: ledger(all_under_way) },
        Check { table: "dds.h_order", needs: &["dds.h_order"], rows: HUBS.to_owned() },
        Check {
            table: "dds.s_order_status",
            needs: &["dds.s_order_status", "dds.s_order_status_current"],
            rows: STATUSES.to_owned(),
        },
        Check { table: "dds.l_order_user", needs: &["dds.l_order_user"], rows: USERS.to_owned() },
        Check { table: "dds.l_order_product", needs: &["dds.l_order_product"], rows: PRODUCTS.to_owned() },
        Check { table: "dds.l_product_category", needs: &["dds.l_product_category"], rows: CATEGORIES.to_owned() },
    ]
}

/// The vault's orders, and whether the ledger has them.
fn ledger(all_under_way: bool) -> String {
    // What is asked only of orders that are not there stands in a `case`, lest it be asked of all.
    format!(
        "select order_id, absent and not under_way as wrong, absent and under_way as behind \
         from (select o.h_order_pk as order_id, l.order_id is null as absent, \
                      case when l.order_id is null then \
                          {all_under_way} \
                          or greatest(o.load_dt, (select max(s.load_dt) from dds.s_order_status s \
                                                  where s.h_order_pk = o.h_order_pk)) \
                             > (now() at time zone 'utc') - {GRACE} \
                          or exists (select from ops.dead_letters d \
                                     where d.layer = 'cdm' and d.status in ('open', 'waiting') \
                                           and d.key = convert_to(o.h_order_pk::text, 'UTF8')) \
                      end as under_way \
               from dds.h_order o left join cdm.order_ledger l on l.order_id = o.h_order_pk) orders"
    )
}

/// The ledger's orders, and whether the vault has them.
const HUBS: &str = "select l.order_id, o.h_order_pk is null as wrong, false as behind \
     from cdm.order_ledger l left join dds.h_order o on o.h_order_pk = l.order_id";

/// How each order stands. Of statuses with the same version the vault shows the one that was loaded later, and the ledger
/// the one that was processed later, which need not be the same after a replay: any of them is right.
const STATUSES: &str = "select l.order_id, l.status as ledger, s.status as vault, l.version as ledger_version, \
            s.effective_dt as vault_version, \
            s.h_order_pk is null or (s.effective_dt <= l.version and s.status <> l.status \
                                     and not exists (select from dds.s_order_status e \
                                                     where e.h_order_pk = l.order_id and e.effective_dt = s.effective_dt \
                                                           and e.status = l.status)) as wrong, \
            coalesce(s.effective_dt > l.version, false) as behind \
     from cdm.order_ledger l left join dds.s_order_status_current s on s.h_order_pk = l.order_id";

/// Whose each order is.
const USERS: &str = "select l.order_id, l.user_id, v.h_order_pk is null as wrong, false as behind \
     from cdm.order_ledger l \
     left join dds.l_order_user v on v.h_order_pk = l.order_id and v.h_user_pk = l.user_id";

/// The dishes of each order.
const PRODUCTS: &str = "select l.order_id, product_id, v.h_order_pk is null as wrong, false as behind \
     from cdm.order_ledger l cross join unnest(l.product_ids) product_id \
     left join dds.l_order_product v on v.h_order_pk = l.order_id and v.h_product_pk = product_id";

/// The categories of each order, which are to be those of its dishes.
const CATEGORIES: &str = "select l.order_id, category_id, v.order_id is null as wrong, false as behind \
     from cdm.order_ledger l cross join unnest(l.category_ids) category_id \
     left join (select distinct o.order_id, p.h_category_pk \
                from cdm.order_ledger o cross join unnest(o.product_ids) product_id \
                join dds.l_product_category p on p.h_product_pk = product_id) v \
         on v.order_id = l.order_id and v.h_category_pk = category_id";
