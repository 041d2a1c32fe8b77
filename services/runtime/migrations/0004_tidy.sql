-- Operations past their time are removed oldest first.
create index if not exists operations_finished on ops.operations (layer, finished_at) where finished_at is not null;

-- A replay goes through the letters that are not closed, however many closed ones lie between them.
create index if not exists dead_letters_replayable on ops.dead_letters (layer, id) where status in ('open', 'waiting');
