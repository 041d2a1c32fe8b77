-- The orders behind a counter are found by its user, who has few of all orders.
create index if not exists order_ledger_user on cdm.order_ledger (user_id);
