//! What an audit finds of what was changed by hand, and that it finds nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::stage::{LAYERS, Service, Stage};
use serde_json::json;

use super::scene::{PATIENCE, Scene, TABLES, differing, found, wrong};

const DRAIN: Duration = Duration::from_mins(10);

/// Something changed by hand, and what is found of it.
struct Tampering {
    what: &'static str,
    done: &'static str,
    undone: &'static str,
    found: &'static [(&'static str, i64)],
}

const TAMPERINGS: [Tampering; 9] = [
    Tampering {
        what: "a counter changed by 1",
        done: "update cdm.user_product_counters set order_cnt = order_cnt + 1 \
               where id = (select min(id) from cdm.user_product_counters)",
        undone: "update cdm.user_product_counters set order_cnt = order_cnt - 1 \
                 where id = (select min(id) from cdm.user_product_counters)",
        found: &[("cdm.user_product_counters", 1)],
    },
    Tampering {
        what: "a counter removed",
        done: "create table taken as select * from cdm.restaurant_category_counters where order_cnt > 0 limit 1; \
               delete from cdm.restaurant_category_counters where id in (select id from taken)",
        undone: "insert into cdm.restaurant_category_counters select * from taken; drop table taken",
        found: &[("cdm.restaurant_category_counters", 1)],
    },
    Tampering {
        what: "a ledger row removed",
        done: "create table taken as select * from cdm.order_ledger \
                   where status <> 'CANCELLED' and cardinality(product_ids) = 1 limit 1; \
               delete from cdm.order_ledger where order_id in (select order_id from taken)",
        undone: "insert into cdm.order_ledger select * from taken; drop table taken",
        found: &[
            ("cdm.user_product_counters", 1),
            ("cdm.user_category_counters", 1),
            ("cdm.restaurant_category_counters", 1),
            ("cdm.order_ledger", 1),
        ],
    },
    Tampering {
        what: "a ledger row removed that counts nothing",
        done: "create table taken as select * from cdm.order_ledger where status = 'CANCELLED' limit 1; \
               delete from cdm.order_ledger where order_id in (select order_id from taken)",
        undone: "insert into cdm.order_ledger select * from taken; drop table taken",
        found: &[("cdm.order_ledger", 1)],
    },
    Tampering {
        what: "a status changed in the vault",
        done: "create table taken as select * from dds.s_order_status_current limit 1; \
               update dds.s_order_status s set status = 'LOST' from taken t \
                   where s.hk_order_status_pk = t.hk_order_status_pk",
        undone: "update dds.s_order_status s set status = t.status from taken t \
                     where s.hk_order_status_pk = t.hk_order_status_pk; drop table taken",
        found: &[("dds.s_order_status", 1)],
    },
    Tampering {
        what: "an order's user removed from the vault",
        done: "create table taken as select * from dds.l_order_user limit 1; \
               delete from dds.l_order_user where hk_order_user_pk in (select hk_order_user_pk from taken)",
        undone: "insert into dds.l_order_user select * from taken; drop table taken",
        found: &[("dds.l_order_user", 1)],
    },
    Tampering {
        what: "an order's dish removed from the vault",
        done: "create table taken as select * from dds.l_order_product limit 1; \
               delete from dds.l_order_product where hk_order_product_pk in (select hk_order_product_pk from taken)",
        undone: "insert into dds.l_order_product select * from taken; drop table taken",
        found: &[("dds.l_order_product", 1)],
    },
    Tampering {
        what: "a dish's category removed from the vault",
        done: "create table taken as select l.* from dds.l_product_category l \
                   join dds.h_category c on c.h_category_pk = l.h_category_pk and c.category_name = 'Of its own'; \
               delete from dds.l_product_category where hk_product_category_pk in (select hk_product_category_pk from taken)",
        undone: "insert into dds.l_product_category select * from taken; drop table taken",
        found: &[("dds.l_product_category", 1)],
    },
    Tampering {
        what: "an order removed from the vault with all that is its own",
        done: "create table taken as select h_order_pk from dds.l_order_product group by h_order_pk \
                   having count(*) = 1 limit 1; \
               create table taken_hub as select * from dds.h_order where h_order_pk in (table taken); \
               create table taken_user as select * from dds.l_order_user where h_order_pk in (table taken); \
               create table taken_dish as select * from dds.l_order_product where h_order_pk in (table taken); \
               create table taken_status as select * from dds.s_order_status where h_order_pk in (table taken); \
               create table taken_cost as select * from dds.s_order_cost where h_order_pk in (table taken); \
               delete from dds.l_order_user where h_order_pk in (table taken); \
               delete from dds.l_order_product where h_order_pk in (table taken); \
               delete from dds.s_order_status where h_order_pk in (table taken); \
               delete from dds.s_order_cost where h_order_pk in (table taken); \
               delete from dds.h_order where h_order_pk in (table taken)",
        undone: "insert into dds.h_order select * from taken_hub; insert into dds.l_order_user select * from taken_user; \
                 insert into dds.l_order_product select * from taken_dish; \
                 insert into dds.s_order_status select * from taken_status; \
                 insert into dds.s_order_cost select * from taken_cost; \
                 drop table taken, taken_hub, taken_user, taken_dish, taken_status, taken_cost",
        found: &[("dds.h_order", 1), ("dds.s_order_status", 1), ("dds.l_order_user", 1), ("dds.l_order_product", 1)],
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_finds_each_thing_that_was_changed_by_hand_and_nothing_else() {
    let scene = Scene::set("audit_finds", 1, &[]).await;
    let untouched = scene.audit().await;
    assert_eq!(differing(&untouched), BTreeMap::new(), "{untouched}");
    for Tampering { what, done, undone, found } in TAMPERINGS {
        scene.run(done).await;
        let audit = scene.audit().await;
        assert_eq!(differing(&audit), wrong(found), "{what}: {audit}");
        scene.run(undone).await;
    }
    let restored = scene.audit().await;
    assert_eq!(differing(&restored), BTreeMap::new(), "{restored}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_says_how_much_it_has_looked_at_and_shows_some_of_what_is_wrong() {
    let scene = Scene::set("audit_examples", 1, &[]).await;
    scene.run("update cdm.user_product_counters set order_cnt = order_cnt + 3").await;
    let audit = scene.audit().await;
    let detail = found(&audit, "cdm.user_product_counters", "different");
    let counters = scene.count("select count(*) from cdm.user_product_counters").await;
    assert_eq!((&detail["checked"], &detail["wrong"]), (&json!(counters), &json!(counters)), "{audit}");
    let examples = detail["examples"].as_array().unwrap();
    assert_eq!(examples.len(), 10, "{audit}");
    for example in examples {
        assert_eq!(example["held"].as_i64(), example["expected"].as_i64().map(|sum| sum + 3), "{example}");
        assert!(example["user_id"].is_string() && example["product_id"].is_string(), "{example}");
        assert_eq!(example.as_object().unwrap().len(), 4, "{example}");
    }
    let progress = &audit["progress"];
    assert_eq!((&progress["tables"], &progress["done"], &progress["wrong"]), (&json!(9), &json!(9), &json!(counters)));
    for (table, rows) in [
        ("cdm.order_ledger", "select count(*) from dds.h_order"),
        ("dds.s_order_status", "select count(*) from cdm.order_ledger"),
        ("dds.l_order_product", "select sum(cardinality(product_ids))::bigint from cdm.order_ledger"),
        ("dds.l_product_category", "select sum(cardinality(category_ids))::bigint from cdm.order_ledger"),
    ] {
        assert_eq!(found(&audit, table, "equal")["checked"], json!(scene.count(rows).await), "{table}: {audit}");
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_finds_nothing_after_a_hostile_backlog() {
    let mut stage = Stage::build("audit_hostile", 3).await.unwrap();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let dictionary = Dictionary::generate(seed, 200, 20);
    dictionary.write(&mut stage.redis).await.unwrap();
    let plan = Plan { seed, first_order_id: 1, orders: 3_000, partitions: 3, mix: Mix::adversarial() };
    stage.produce("stg", Backlog::new(&dictionary, plan)).await.unwrap();
    let services: Vec<Service> = LAYERS.iter().map(|layer| stage.start(layer, &[]).unwrap()).collect();
    for service in &services {
        service.ready(PATIENCE).await.unwrap();
    }
    stage.settle(DRAIN).await.unwrap();
    let audit = services[2].audit(&json!({})).await.unwrap();
    assert_eq!(differing(&audit), BTreeMap::new(), "{audit}");
    for table in TABLES {
        assert!(found(&audit, table, "equal")["checked"].as_i64() > Some(0), "{table}: {audit}");
    }
    drop(services);
    stage.tear_down().await.unwrap();
}
