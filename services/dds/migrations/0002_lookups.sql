-- One order is looked up from its hub: what hangs on it by links is found by these. A link's own key is made of both its ends.
create index if not exists l_order_product_order on dds.l_order_product (h_order_pk);
create index if not exists l_order_user_order on dds.l_order_user (h_order_pk);
create index if not exists l_product_category_product on dds.l_product_category (h_product_pk);
create index if not exists l_product_restaurant_product on dds.l_product_restaurant (h_product_pk);
