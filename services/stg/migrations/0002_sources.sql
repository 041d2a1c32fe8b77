-- When what a row holds was stored, and the record that brought it. Null in rows that are taken over, and in those that a
-- binary one release older has written: it knows nothing of these columns.
alter table stg.order_events
    add column if not exists stored_at timestamptz,
    add column if not exists source_topic varchar,
    add column if not exists source_partition bigint,
    add column if not exists source_offset bigint;

-- Where such a binary puts another version into a row, what these columns said is of the version before.
create function stg.forget_source() returns trigger language plpgsql as $$ begin
    new.stored_at := null;
    new.source_topic := null;
    new.source_partition := null;
    new.source_offset := null;
    return new;
end $$;
create trigger order_events_source before update of sent_dttm, payload, version on stg.order_events for each row
    when (new.stored_at = old.stored_at) execute function stg.forget_source();
