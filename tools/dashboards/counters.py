"""Counters: what the orders say, how fresh it is, and whether it is right."""

from panels import NAMESPACE, PLAIN, RUNBOOKS, bars, board, lines, promql, row, source, sql, stat, steps, table

N = 'namespace=~"$namespace"'
BEHIND = f'max(ordervault_lag_seconds{{{N}}}) unless on () min(ordervault_check_passing{{check="kafka", {N}}}) == 0'
ONCE = "An order counts once for each distinct dish and each distinct category in it, cancelled ones not at all."


def board_rows():
    yield row(
        "Can they be trusted?",
        stat(
            "How far behind are the counters?",
            "s",
            "The age of the oldest record that any layer has still to do. 0 says that every order that is in Kafka is counted.",
            [promql(BEHIND, "behind")],
            thresholds=steps(10, 30),
            decimals=1,
            noValue="Unknown: Kafka is away",
            runbook="lag-grows",
        ),
        stat(
            "When did the newest counted order come?",
            "dateTimeFromNow",
            "When the newest record that is in the counters entered Kafka. In a quiet night it is old without anything being wrong.",
            [sql("select extract(epoch from max(as_of)) * 1000 as newest from cdm.v_category_counters")],
            width=5,
            thresholds=[(None, PLAIN)],
            fields="/.*/",
            runbook="lag-grows",
        ),
        stat(
            "How many rows are wrong?",
            "none",
            "What the newest audit found that is not what the orders say. Without data none has been done: see AUDIT_DAILY_AT.",
            [promql(f"sum(max by (table) (ordervault_audit_wrong_rows{{{N}}}))", "wrong")],
            thresholds=steps(act=1),
            noValue="No audit yet",
            runbook="audit",
        ),
        stat(
            "How old is that verdict?",
            "s",
            "Time since the newest audit came to its end.",
            [promql(f"time() - max(ordervault_audit_last_success_timestamp_seconds{{{N}}})", "ago")],
            thresholds=steps(look=8 * 86400),
            noValue="No audit yet",
            runbook="audit",
        ),
        stat(
            "How many orders are set aside?",
            "none",
            "Dead letters, open and waiting, of all layers: orders that the counters do not hold, or hold in an older version.",
            [promql(f'sum(max by (layer, status, code) (ordervault_dead_letters{{status=~"open|waiting", {N}}}))', "aside")],
            width=7,
            thresholds=steps(look=1),
            runbook="dead-letters",
        ),
    )
    yield row(
        "What was ordered?",
        stat(
            "How many orders are counted?",
            "short",
            "All orders but the cancelled ones; those without a dish are among them.",
            [sql("select coalesce(sum(order_cnt), 0)::bigint as orders from cdm.v_order_counters where counted")],
            width=4,
            thresholds=[(None, PLAIN)],
            fields="/.*/",
            runbook="audit",
        ),
        stat(
            "How many are cancelled?",
            "short",
            "Orders whose newest version is cancelled: they count nowhere.",
            [sql("select coalesce(sum(order_cnt), 0)::bigint as orders from cdm.v_order_counters where not counted")],
            width=4,
            thresholds=[(None, PLAIN)],
            fields="/.*/",
            runbook="audit",
        ),
        stat(
            "How many dishes were sold?",
            "short",
            "The sum of the dishes' counters, of all counted orders. " + ONCE,
            [sql("select sum(order_cnt)::bigint as dishes from cdm.v_product_counters")],
            width=4,
            thresholds=[(None, PLAIN)],
            fields="/.*/",
            runbook="audit",
        ),
        stat(
            "How many different dishes?",
            "short",
            "Dishes that at least one counted order holds.",
            [sql("select count(*) as dishes from cdm.v_product_counters")],
            width=4,
            thresholds=[(None, PLAIN)],
            fields="/.*/",
            runbook="audit",
        ),
        stat(
            "How many users ordered?",
            "short",
            "Users with at least one counted order.",
            [sql("select count(distinct user_id) as users from cdm.v_user_category_counters")],
            width=4,
            thresholds=[(None, PLAIN)],
            fields="/.*/",
            runbook="audit",
        ),
        stat(
            "How many restaurants sold?",
            "short",
            "Restaurants with at least one counted order.",
            [sql("select count(distinct restaurant_id) as restaurants from cdm.v_restaurant_category_counters")],
            width=4,
            thresholds=[(None, PLAIN)],
            fields="/.*/",
            runbook="audit",
        ),
        bars(
            "Which dishes are ordered most?",
            "short",
            "Orders that hold the dish, summed over all users.",
            [sql("select product_name as dish, order_cnt as orders from cdm.v_product_counters order by order_cnt desc, product_name limit 15")],
            8,
            11,
            "dish",
            runbook="audit",
        ),
        bars(
            "Which categories are ordered most?",
            "short",
            "Orders that hold something of the category, summed over all users.",
            [sql("select category_name as category, order_cnt as orders from cdm.v_category_counters order by order_cnt desc, category_name limit 15")],
            8,
            11,
            "category",
            runbook="audit",
        ),
        table(
            "Which restaurant leads each category?",
            "none",
            "The restaurant with most orders in each category.",
            [
                sql(
                    """select category, restaurant, orders from (
                         select distinct on (category_id) category_name as category, restaurant_name as restaurant, order_cnt as orders
                         from cdm.v_restaurant_category_counters order by category_id, order_cnt desc, restaurant_name
                       ) leaders order by orders desc, category limit 20"""
                )
            ],
            8,
            11,
            overrides=[{"matcher": {"id": "byName", "options": "orders"}, "properties": [{"id": "unit", "value": "short"}]}],
            runbook="audit",
        ),
        bars(
            "How loyal are the users?",
            "short",
            "Users by how many orders their favourite category has.",
            [
                sql(
                    """select case when most >= 20 then '20 and more' when most >= 10 then '10 to 19' when most >= 5 then '5 to 9'
                                   when most >= 2 then '2 to 4' else '1' end as orders, count(*) as users
                       from (select user_id, max(order_cnt) as most from cdm.v_user_category_counters group by user_id) favourites
                       group by 1 order by min(most)"""
                )
            ],
            8,
            8,
            "orders",
            runbook="audit",
        ),
        lines(
            "How many orders come in?",
            "recps",
            "Records that CDM counted, a second; versions and repetitions of an order among them, which move counters only where something changed.",
            [promql(f'sum(rate(ordervault_records_total{{layer="cdm", outcome="processed", {N}}}[$__rate_interval]))', "counted")],
            height=8,
            runbook="lag-grows",
        ),
        lines(
            "How long until an order is counted?",
            "s",
            "From its arrival in Kafka until it is in the counters: of half of the orders, and of 99 of 100. The objective is 30 s.",
            [
                promql(f'histogram_quantile({share}, sum by (le) (rate(ordervault_end_to_end_seconds_bucket{{layer="cdm", {N}}}[$__rate_interval])))', legend)
                for share, legend in ((0.5, "half"), (0.99, "99 of 100"))
            ],
            height=8,
            thresholds=steps(act=30),
            runbook="late-records",
        ),
    )


def board_json():
    return board(
        "ordervault-counters",
        "Ordervault: Counters",
        "What was ordered, how fresh that is, and whether it is right. Counters come from the views cdm.v_*, for which a login "
        "in the role ordervault_bi is enough; the rest from Prometheus.",
        [
            source("prometheus", "Prometheus", "prometheus"),
            source("postgres", "PostgreSQL", "grafana-postgresql-datasource"),
            NAMESPACE,
            RUNBOOKS,
        ],
        list(board_rows()),
        "6h",
        "1m",
    )
