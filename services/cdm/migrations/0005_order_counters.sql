-- How many orders there are behind the counters, and how many are cancelled and so counted nowhere.
create view cdm.v_order_counters as
    select l.restaurant_id, r.name as restaurant_name, l.status, l.status <> 'CANCELLED' as counted, l.order_cnt,
           (select max(record_time) from ops.applied_offsets where layer = 'cdm') as as_of
    from (select restaurant_id, status, count(*) as order_cnt from cdm.order_ledger group by restaurant_id, status) l
    left join cdm.names r on r.kind = 'restaurant' and r.id = l.restaurant_id;

comment on view cdm.v_order_counters is 'How many orders each restaurant has in each status; cancelled ones count in no other view.';
