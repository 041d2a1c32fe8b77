-- Which counters each transaction has changed, whoever it was: what has changed since is asked for by it. The rows of the
-- counters themselves bear nothing for it, so that their updates stay cheap. How much of it is kept: forget_changes.
create table cdm.counter_changes (
    counter text not null,
    changed_in xid8 not null default pg_current_xact_id(),
    row_count bigint not null,
    ids bigint[] not null
);
alter table cdm.counter_changes alter column ids set storage external;
create index counter_changes_transaction on cdm.counter_changes (counter, changed_in);

-- From this transaction on the changes of a counter are all there: at first all that cursors ask for, since these are younger
-- than the log.
create table cdm.counter_changes_kept (
    counter text primary key,
    since xid8 not null default '0'
);
insert into cdm.counter_changes_kept (counter)
    values ('cdm.user_product_counters'), ('cdm.user_category_counters'), ('cdm.restaurant_category_counters');

-- Whoever may change a counter need not be allowed to write here.
create function cdm.note_changes() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into cdm.counter_changes (counter, row_count, ids)
        select 'cdm.' || tg_table_name, count(*), array_agg(id) from changed having count(*) > 0;
    return null;
end $$;

do $$
declare
    counter text;
begin
    foreach counter in array array['user_product_counters', 'user_category_counters', 'restaurant_category_counters'] loop
        execute format('create trigger note_inserts after insert on cdm.%I referencing new table as changed '
                       'for each statement execute function cdm.note_changes()', counter);
        execute format('create trigger note_updates after update on cdm.%I referencing new table as changed '
                       'for each statement execute function cdm.note_changes()', counter);
        execute format('create trigger note_deletes after delete on cdm.%I referencing old table as changed '
                       'for each statement execute function cdm.note_changes()', counter);
    end loop;
end $$;

-- So many changes of a counter are worth keeping: of more, to read all of its rows is cheaper.
create function cdm.changes_to_keep(counter text) returns numeric language sql stable set search_path = pg_catalog, pg_temp as $$
    select greatest((select reltuples from pg_class where oid = counter::regclass), 1000000)::numeric
$$;

-- Forgets the oldest changes where there are more. What a restored dump has of another server's transactions, which are yet to
-- come on this one, is forgotten as well.
create function cdm.forget_changes() returns void language sql set search_path = pg_catalog, pg_temp as $$
    with counted as (
        select counter, changed_in, sum(row_count) over (partition by counter order by changed_in desc) as newer
        from cdm.counter_changes where changed_in < pg_snapshot_xmax(pg_current_snapshot())
    ), bounded as (
        select distinct on (counter) counter, changed_in as since from counted
        where newer > cdm.changes_to_keep(counter)
        order by counter, changed_in desc
    )
    update cdm.counter_changes_kept kept
    set since = least(greatest(since, (select since from bounded where bounded.counter = kept.counter)),
                      pg_snapshot_xmin(pg_current_snapshot()));
    delete from cdm.counter_changes using cdm.counter_changes_kept kept
    where counter_changes.counter = kept.counter
        and (changed_in < since or changed_in >= pg_snapshot_xmax(pg_current_snapshot()));
$$;

-- What is asked most, with the id as its end so that its order is total. An index over the counts makes every change of a
-- count a change of all indexes of its row: the users' dishes, most of which are ordered once or twice, bear one all the same,
-- the users' categories, whose counts move all the time, do not. All else is sorted when it is asked for.
create index user_product_counters_count on cdm.user_product_counters (order_cnt, id);
create index user_product_counters_segment on cdm.user_product_counters (product_id, id);
drop index cdm.user_product_counters_product;
create index user_category_counters_segment on cdm.user_category_counters (category_id, id);
create index user_category_counters_name on cdm.user_category_counters (category_name, id);

-- Users have names as well: segments show them.
alter table cdm.names drop constraint names_kind_check,
    add constraint names_kind_check check (kind in ('product', 'restaurant', 'user'));
