-- What lists filter by, each in the order in which they show it; without these a filter that fits few rows reads all.
create index if not exists dead_letters_code on ops.dead_letters (layer, code, id);
create index if not exists dead_letters_partition on ops.dead_letters (layer, partition, id);
create index if not exists operations_kind on ops.operations (layer, kind, id);

-- Ids are made by the service's clock and `first_seen` is the database's, so that the one cannot stand for the other.
create index if not exists dead_letters_first_seen on ops.dead_letters (layer, first_seen);

-- The summary counts every letter: from here, so that it does not read the records as well.
create index if not exists dead_letters_summary on ops.dead_letters (layer, code, status) include (first_seen, last_seen);
