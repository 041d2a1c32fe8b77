-- What analysts read straight from here: stable, whatever becomes of the tables. Names joined, zeros left out, and how
-- fresh it is. Who may read them: ../src/bi.sql.
create view cdm.v_user_product_counters as
    select c.user_id, u.name as user_name, c.product_id, c.product_name, c.order_cnt,
           (select max(record_time) from ops.applied_offsets where layer = 'cdm') as as_of
    from cdm.user_product_counters c left join cdm.names u on u.kind = 'user' and u.id = c.user_id
    where c.order_cnt > 0;

create view cdm.v_user_category_counters as
    select c.user_id, u.name as user_name, c.category_id, c.category_name, c.order_cnt,
           (select max(record_time) from ops.applied_offsets where layer = 'cdm') as as_of
    from cdm.user_category_counters c left join cdm.names u on u.kind = 'user' and u.id = c.user_id
    where c.order_cnt > 0;

create view cdm.v_restaurant_category_counters as
    select c.restaurant_id, c.restaurant_name, c.category_id, c.category_name, c.order_cnt,
           (select max(record_time) from ops.applied_offsets where layer = 'cdm') as as_of
    from cdm.restaurant_category_counters c
    where c.order_cnt > 0;

create view cdm.v_product_counters as
    select c.product_id, max(c.product_name) as product_name, sum(c.order_cnt)::bigint as order_cnt,
           (select max(record_time) from ops.applied_offsets where layer = 'cdm') as as_of
    from cdm.user_product_counters c where c.order_cnt > 0 group by c.product_id;

create view cdm.v_category_counters as
    select c.category_id, max(c.category_name) as category_name, sum(c.order_cnt)::bigint as order_cnt,
           (select max(record_time) from ops.applied_offsets where layer = 'cdm') as as_of
    from cdm.user_category_counters c where c.order_cnt > 0 group by c.category_id;

comment on view cdm.v_user_product_counters is 'How often each user ordered each dish.';
comment on view cdm.v_user_category_counters is 'How often each user ordered something of each category.';
comment on view cdm.v_restaurant_category_counters is 'How many orders at each restaurant had something of each category.';
comment on view cdm.v_product_counters is 'How often each dish was ordered.';
comment on view cdm.v_category_counters is 'How many orders had something of each category, summed over the users.';
