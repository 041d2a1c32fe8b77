-- The Data Vault: 5 hubs, 4 links, 5 satellites. A vault that the replaced services filled is taken over as it is.

create table if not exists dds.h_user (
    h_user_pk uuid not null constraint h_user_pkey primary key,
    user_id varchar not null, load_dt timestamp not null, load_src varchar not null);
create table if not exists dds.h_product (
    h_product_pk uuid not null constraint h_product_pkey primary key,
    product_id varchar not null, load_dt timestamp not null, load_src varchar not null);
create table if not exists dds.h_category (
    h_category_pk uuid not null constraint h_category_pkey primary key,
    category_name varchar not null, load_dt timestamp not null, load_src varchar not null);
create table if not exists dds.h_restaurant (
    h_restaurant_pk uuid not null constraint h_restaurant_pkey primary key,
    restaurant_id varchar not null, load_dt timestamp not null, load_src varchar not null);
create table if not exists dds.h_order (
    h_order_pk uuid not null constraint h_order_pkey primary key,
    order_id bigint not null, order_dt timestamp not null, load_dt timestamp not null, load_src varchar not null);

create table if not exists dds.l_order_product (
    hk_order_product_pk uuid not null primary key,
    h_order_pk uuid not null references dds.h_order, h_product_pk uuid not null references dds.h_product,
    load_dt timestamp not null, load_src varchar not null);
create table if not exists dds.l_order_user (
    hk_order_user_pk uuid not null primary key,
    h_order_pk uuid not null references dds.h_order, h_user_pk uuid not null references dds.h_user,
    load_dt timestamp not null, load_src varchar not null);
create table if not exists dds.l_product_category (
    hk_product_category_pk uuid not null primary key,
    h_category_pk uuid not null references dds.h_category, h_product_pk uuid not null references dds.h_product,
    load_dt timestamp not null, load_src varchar not null);
create table if not exists dds.l_product_restaurant (
    hk_product_restaurant_pk uuid not null primary key,
    h_restaurant_pk uuid not null references dds.h_restaurant, h_product_pk uuid not null references dds.h_product,
    load_dt timestamp not null, load_src varchar not null);

create table if not exists dds.s_user_names (
    hk_user_names_pk uuid not null primary key, h_user_pk uuid not null references dds.h_user,
    username varchar not null, userlogin varchar not null, load_dt timestamp not null, load_src varchar not null);
create table if not exists dds.s_restaurant_names (
    hk_restaurant_names_pk uuid not null primary key, h_restaurant_pk uuid not null references dds.h_restaurant,
    name varchar not null, load_dt timestamp not null, load_src varchar not null);
create table if not exists dds.s_product_names (
    hk_product_names_pk uuid not null primary key, h_product_pk uuid not null references dds.h_product,
    name varchar not null, load_dt timestamp not null, load_src varchar not null);
create table if not exists dds.s_order_cost (
    hk_order_cost_pk uuid not null primary key, h_order_pk uuid not null references dds.h_order,
    cost decimal(19, 5) not null default 0 check (cost >= 0),
    payment decimal(19, 5) not null default 0 check (payment >= 0),
    load_dt timestamp not null, load_src varchar not null);
create table if not exists dds.s_order_status (
    hk_order_status_pk uuid not null primary key, h_order_pk uuid not null references dds.h_order,
    status varchar not null, load_dt timestamp not null, load_src varchar not null);

-- The replaced services knew ids of 32 bits. A column that is wide already is left alone, since views may depend on it.
do $$ begin
    if exists (select from pg_attribute where attrelid = 'dds.h_order'::regclass and attname = 'order_id'
               and atttypid <> 'bigint'::regtype) then
        alter table dds.h_order alter column order_id type bigint;
    end if;
end $$;

-- The newest version at which the source said this. Rows taken over do not know theirs. For an order it is at least
-- the order's date; for a name any known version is newer, and among the unknown ones the later loaded is current.
alter table dds.s_user_names add column if not exists effective_dt timestamp not null default '1970-01-01';
alter table dds.s_restaurant_names add column if not exists effective_dt timestamp not null default '1970-01-01';
alter table dds.s_product_names add column if not exists effective_dt timestamp not null default '1970-01-01';
alter table dds.s_order_cost add column if not exists effective_dt timestamp not null default '1970-01-01';
alter table dds.s_order_status add column if not exists effective_dt timestamp not null default '1970-01-01';
update dds.s_order_cost s set effective_dt = o.order_dt from dds.h_order o where o.h_order_pk = s.h_order_pk;
update dds.s_order_status s set effective_dt = o.order_dt from dds.h_order o where o.h_order_pk = s.h_order_pk;

create index if not exists s_user_names_hub on dds.s_user_names (h_user_pk);
create index if not exists s_restaurant_names_hub on dds.s_restaurant_names (h_restaurant_pk);
create index if not exists s_product_names_hub on dds.s_product_names (h_product_pk);
create index if not exists s_order_cost_hub on dds.s_order_cost (h_order_pk);
create index if not exists s_order_status_hub on dds.s_order_status (h_order_pk);

create view dds.s_user_names_current as select distinct on (h_user_pk) * from dds.s_user_names
    order by h_user_pk, effective_dt desc, load_dt desc;
create view dds.s_restaurant_names_current as select distinct on (h_restaurant_pk) * from dds.s_restaurant_names
    order by h_restaurant_pk, effective_dt desc, load_dt desc;
create view dds.s_product_names_current as select distinct on (h_product_pk) * from dds.s_product_names
    order by h_product_pk, effective_dt desc, load_dt desc;
create view dds.s_order_cost_current as select distinct on (h_order_pk) * from dds.s_order_cost
    order by h_order_pk, effective_dt desc, load_dt desc;
create view dds.s_order_status_current as select distinct on (h_order_pk) * from dds.s_order_status
    order by h_order_pk, effective_dt desc, load_dt desc;
