-- A cancellation is an operator's word like any other: when it was said, and why.
alter table ops.operations add column if not exists cancelled_at timestamptz;
alter table ops.operations add column if not exists cancel_reason text;
