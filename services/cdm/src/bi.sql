-- The role that analysts' logins are members of: it reads the views of CDM and nothing else. It may be run again at any
-- time; whoever runs it must be allowed to create roles, and to grant what the service's role owns.
do $$ begin
    if not exists (select from pg_roles where rolname = 'ordervault_bi') then
        create role ordervault_bi nologin;
    end if;
exception when duplicate_object or unique_violation then
    -- Another database of this server was quicker.
    null;
end $$;
grant usage on schema cdm to ordervault_bi;
grant select on cdm.v_user_product_counters, cdm.v_user_category_counters, cdm.v_restaurant_category_counters,
    cdm.v_product_counters, cdm.v_category_counters, cdm.v_order_counters to ordervault_bi;
-- What a role does not own it cannot grant, and is only warned of that.
do $$ begin
    if not has_schema_privilege('ordervault_bi', 'cdm', 'usage')
       or not has_table_privilege('ordervault_bi', 'cdm.v_order_counters', 'select') then
        raise insufficient_privilege using message = 'the views of cdm belong to another role';
    end if;
end $$;
