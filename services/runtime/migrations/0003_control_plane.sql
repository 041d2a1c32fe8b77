-- What is desired of each layer holds for all its replicas. The generation grows with every change, so that a member can
-- say which of them it has carried out.
create table if not exists ops.layers (
    layer      text   not null primary key,
    generation bigint not null default 0
);

-- A layer is paused while it has a row here whose time is not up; each kind of reason comes and goes by itself.
create table if not exists ops.pauses (
    layer  text        not null,
    kind   text        not null check (kind in ('operator', 'dead_letter_breaker')),
    reason text        not null,
    actor  text        not null,
    since  timestamptz not null default now(),
    until  timestamptz,
    primary key (layer, kind)
);

-- What each member says of itself, every few seconds. One that has not done so of late is gone.
create table if not exists ops.members (
    id            uuid        not null primary key,
    layer         text        not null,
    host          text        not null,
    version       text        not null,
    state         text        not null check (state in ('starting', 'running', 'paused')),
    generation    bigint      not null,
    partitions    integer[]   not null,
    -- The next offset of each partition, as far as the member knows it.
    positions     bigint[]    not null,
    last_batch    jsonb,
    last_progress timestamptz,
    last_error    text,
    last_error_at timestamptz,
    started_at    timestamptz not null default now(),
    heartbeat     timestamptz not null default now()
) with (fillfactor = 50);

create index if not exists members_layer on ops.members (layer);

-- Who did what, when, why, and what became of it.
create table if not exists ops.operations (
    id           uuid        not null primary key,
    layer        text        not null,
    kind         text        not null,
    state        text        not null check (state in ('accepted', 'running', 'done', 'failed', 'cancelled')),
    actor        text        not null,
    reason       text,
    request      jsonb       not null,
    progress     jsonb       not null default '{}',
    error        text,
    -- Pause and resume: the generation of the desired state that they brought about.
    generation   bigint,
    -- Jobs: the member that works on it, until when it may without saying so again, and how far it is.
    runner       uuid,
    lease_until  timestamptz,
    cursor       text,
    cancelled_by text,
    created_at   timestamptz not null default now(),
    finished_at  timestamptz
);

create index if not exists operations_newest on ops.operations (layer, id);
create index if not exists operations_unfinished on ops.operations (layer) where state in ('accepted', 'running');
create unique index if not exists operations_one_reset on ops.operations (layer)
    where kind = 'offset_reset' and state in ('accepted', 'running');

-- What became of an operation, member by member or partition by partition, in the order of events.
create table if not exists ops.operation_results (
    operation_id uuid        not null references ops.operations (id) on delete cascade,
    nth          bigint      not null generated always as identity,
    member       uuid,
    partition    integer,
    outcome      text        not null,
    "offset"     bigint,
    at           timestamptz not null default now(),
    primary key (operation_id, nth)
);

-- Where a reset takes each partition.
create table if not exists ops.reset_targets (
    operation_id uuid    not null references ops.operations (id) on delete cascade,
    partition    integer not null,
    target       bigint  not null,
    clamped      boolean not null,
    done         boolean not null default false,
    primary key (operation_id, partition)
);

alter table ops.dead_letters add column if not exists closed_by text;
alter table ops.dead_letters add column if not exists closed_reason text;
create index if not exists dead_letters_newest on ops.dead_letters (layer, id);
