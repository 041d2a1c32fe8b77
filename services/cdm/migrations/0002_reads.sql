-- The transaction that last changed a row, whoever did it: what has changed since is asked for by it. The services' own
-- statements set it, since that is cheaper; for those of a binary one release older, and for an operator's, a default and
-- a trigger do.
alter table cdm.user_product_counters add column changed_in xid8 not null default '0';
alter table cdm.user_category_counters add column changed_in xid8 not null default '0';
alter table cdm.restaurant_category_counters add column changed_in xid8 not null default '0';
alter table cdm.user_product_counters alter column changed_in set default pg_current_xact_id();
alter table cdm.user_category_counters alter column changed_in set default pg_current_xact_id();
alter table cdm.restaurant_category_counters alter column changed_in set default pg_current_xact_id();

create function cdm.note_change() returns trigger language plpgsql as $$
begin
    new.changed_in := pg_current_xact_id();
    return new;
end $$;
create trigger note_change before update on cdm.user_product_counters
    for each row when (new.changed_in = old.changed_in) execute function cdm.note_change();
create trigger note_change before update on cdm.user_category_counters
    for each row when (new.changed_in = old.changed_in) execute function cdm.note_change();
create trigger note_change before update on cdm.restaurant_category_counters
    for each row when (new.changed_in = old.changed_in) execute function cdm.note_change();

-- Each order in which pages are shown of the two large tables, with the id as its end so that it is total. A restaurant
-- has few categories: that table is small, and its rows are the hottest.
create index user_product_counters_changes on cdm.user_product_counters (changed_in, id);
create index user_product_counters_count on cdm.user_product_counters (order_cnt, id);
create index user_product_counters_name on cdm.user_product_counters (product_name, id);
create index user_product_counters_segment on cdm.user_product_counters (product_id, order_cnt, id);
drop index cdm.user_product_counters_product;
create index user_category_counters_changes on cdm.user_category_counters (changed_in, id);
create index user_category_counters_count on cdm.user_category_counters (order_cnt, id);
create index user_category_counters_name on cdm.user_category_counters (category_name, id);
create index user_category_counters_segment on cdm.user_category_counters (category_id, order_cnt, id);
create index restaurant_category_counters_changes on cdm.restaurant_category_counters (changed_in, id);

-- Users have names as well: segments show them.
alter table cdm.names drop constraint names_kind_check,
    add constraint names_kind_check check (kind in ('product', 'restaurant', 'user'));
