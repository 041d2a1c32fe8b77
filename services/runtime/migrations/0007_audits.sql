-- What became of an operation with a table: which one, and what was found there.
alter table ops.operation_results add column if not exists subject text;
alter table ops.operation_results add column if not exists detail jsonb;
