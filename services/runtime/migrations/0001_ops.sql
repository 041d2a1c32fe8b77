-- The schema `ops` is shared by the layers: every row names the layer that it belongs to.

-- A record that was proven to be at fault, or that waits for the dictionary: whole, byte for byte.
create table if not exists ops.dead_letters (
    id              uuid        not null primary key,
    layer           text        not null,
    topic           text        not null,
    partition       integer     not null,
    "offset"        bigint      not null,
    -- The record's Kafka time is part of its identity: a topic that is made anew counts its offsets from 0 again.
    record_time     timestamptz not null,
    key             bytea,
    value           bytea,
    header_names    text[]      not null,
    header_values   bytea[]     not null,
    code            text        not null,
    message         text        not null,
    attempts        integer     not null default 1,
    status          text        not null check (status in ('open', 'waiting', 'resolved', 'discarded')),
    first_seen      timestamptz not null default now(),
    last_seen       timestamptz not null default now(),
    next_attempt_at timestamptz,
    constraint dead_letters_record_key unique (layer, topic, partition, "offset", record_time)
);

create index if not exists dead_letters_waiting on ops.dead_letters (layer, next_attempt_at) where status = 'waiting';

-- How far each partition is applied: written in the transaction that writes the rows, so the two never differ.
create table if not exists ops.applied_offsets (
    layer       text        not null,
    topic       text        not null,
    partition   integer     not null,
    next_offset bigint      not null,
    record_time timestamptz not null,
    applied_at  timestamptz not null default now(),
    primary key (layer, topic, partition)
);
