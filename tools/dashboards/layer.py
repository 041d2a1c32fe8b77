"""Layer: one of them in depth."""

from panels import ACT, FINE, LOOK, NAMESPACE, RUNBOOKS, board, chosen, lines, promql, row, source, stat, states, steps, table

L = 'layer="$layer", namespace=~"$namespace"'
P = f'{L}, partition=~"$partition"'
OWN = "Of each replica by itself."


def verdict():
    return row(
        "Is it well?",
        stat(
            "What is it doing?",
            "none",
            "Replicas by the state that they are in. More than one state for long: a replica does not do what is desired.",
            [promql(f"sum by (state) (ordervault_actual_state{{{L}}}) > 0", "{{state}}")],
            width=5,
            thresholds=steps(),
            textMode="value_and_name",
            runbook="no-progress",
        ),
        stat(
            "Why is it paused?",
            "none",
            "1 while the layer is paused for this reason.",
            [promql(f"max by (kind) (ordervault_paused{{{L}}})", "{{kind}}")],
            width=5,
            thresholds=steps(look=1),
            words={0: ("no", FINE), 1: ("paused", LOOK)},
            runbook="paused",
        ),
        stat(
            "How far behind?",
            "s",
            "The age of the oldest record not yet committed; the objective is 30 s.",
            [promql(f"max(ordervault_lag_seconds{{{P}}})", "behind")],
            width=3,
            thresholds=steps(10, 30),
            decimals=1,
            runbook="lag-grows",
        ),
        stat(
            "How many records wait?",
            "short",
            "Records not yet committed, of the chosen partitions.",
            [promql(f"sum(max by (partition) (ordervault_lag_records{{{P}}}))", "wait")],
            width=3,
            thresholds=steps(),
            runbook="lag-grows",
        ),
        stat(
            "Is every partition owned?",
            "none",
            "Partitions that no replica holds. For some seconds after a replica is lost that is as it has to be.",
            [promql(f"max(ordervault_topic_partitions{{{L}}}) - sum(ordervault_assigned_partitions{{{L}}})", "without")],
            width=4,
            thresholds=[(None, LOOK), (0, FINE), (1, ACT)],
            words={0: ("Yes", FINE)},
            runbook="lag-grows",
        ),
        stat(
            "How long stuck at most?",
            "s",
            "Seconds since the replica that is worst off finished a batch or found nothing to do. Over 30 s while records wait is a fault.",
            [promql(f"max(ordervault_progress_age_seconds{{{L}}})", "stuck")],
            width=4,
            thresholds=steps(10, 30),
            decimals=1,
            runbook="no-progress",
        ),
    )


def time():
    return row(
        "Where does the time go?",
        lines(
            "Where does the time go?",
            "short",
            "Batches at work at once, by the stage that they are in, over all replicas. A replica does BATCHES_AT_ONCE (3) at the most: "
            "a stack as high as that for each replica says that it can do no more. Waiting for a dependency is in the stage that waits.",
            [promql(f"sum by (stage) (rate(ordervault_batch_seconds_sum{{{L}}}[$__rate_interval]))", "{{stage}}")],
            stacked=True,
            decimals=2,
            runbook="lag-grows",
        ),
        lines(
            "How long does a batch take?",
            "s",
            "Mean seconds of a batch by stage.",
            [
                promql(
                    f"sum by (stage) (rate(ordervault_batch_seconds_sum{{{L}}}[$__rate_interval])) "
                    f"/ (sum by (stage) (rate(ordervault_batch_seconds_count{{{L}}}[$__rate_interval])) > 0)",
                    "{{stage}}",
                )
            ],
            thresholds=steps(act=30),
            runbook="lag-grows",
        ),
        lines(
            "How large are the batches?",
            "short",
            "Records of a batch: as many as have gathered while the last one was at work, up to BATCH_MAX_RECORDS (2,000).",
            [
                promql(
                    f"sum(rate(ordervault_batch_records_sum{{{L}}}[$__rate_interval])) / (sum(rate(ordervault_batch_records_count{{{L}}}[$__rate_interval])) > 0)",
                    "mean",
                ),
                promql(f"histogram_quantile(0.95, sum by (le) (rate(ordervault_batch_records_bucket{{{L}}}[$__rate_interval])))", "95 of 100"),
            ],
            runbook="lag-grows",
        ),
        lines(
            "How long does a record take?",
            "s",
            "From its arrival in Kafka until this layer was done with it; 30 s is the objective of CDM.",
            [
                promql(f"histogram_quantile({share}, sum by (le) (rate(ordervault_end_to_end_seconds_bucket{{{L}}}[$__rate_interval])))", legend)
                for share, legend in ((0.5, "half"), (0.95, "95 of 100"), (0.99, "99 of 100"))
            ],
            thresholds=steps(act=30),
            runbook="late-records",
        ),
        lines(
            "How much of the time is spent waiting for a dependency?",
            "short",
            "Batches that wait before another attempt, by what they wait for; part of the stages above.",
            [promql(f"sum by (dependency) (rate(ordervault_retry_wait_seconds_total{{{L}}}[$__rate_interval]))", "{{dependency}}")],
            thresholds=steps(look=1),
            runbook="dependency-away",
        ),
        lines(
            "What has to be tried again, and why?",
            "ops",
            "Attempts repeated after a fault of the surroundings, by dependency and class.",
            [promql(f"sum by (dependency, class) (rate(ordervault_retries_total{{{L}}}[$__rate_interval]))", "{{dependency}} {{class}}")],
            runbook="dependency-away",
        ),
    )


def partitions():
    return row(
        "Partitions",
        lines(
            "How far behind is each partition?",
            "s",
            "The age of its oldest record that is not yet committed. One alone: its replica hangs, or its batch waits.",
            [promql(f"max by (partition) (ordervault_lag_seconds{{{P}}})", "{{partition}}")],
            thresholds=steps(act=30),
            runbook="lag-grows",
        ),
        lines(
            "How many records of each partition wait?",
            "short",
            "Records not yet committed.",
            [promql(f"max by (partition) (ordervault_lag_records{{{P}}})", "{{partition}}")],
            runbook="lag-grows",
        ),
        lines(
            "How many records of each partition are done?",
            "recps",
            "A partition that stands out has a hot key.",
            [promql(f"sum by (partition) (rate(ordervault_records_total{{{P}}}[$__rate_interval]))", "{{partition}}")],
            runbook="lag-grows",
        ),
        lines(
            "How many records until unread ones are deleted?",
            "short",
            "Committed offset less the first record that Kafka still has. Below zero, records were deleted unread.",
            [promql(f"min by (partition) (ordervault_retention_margin_records{{{P}}})", "{{partition}}")],
            thresholds=[(None, ACT), (0, FINE)],
            calcs=["lastNotNull", "min"],
            runbook="retention",
        ),
        lines(
            "How much does Kafka delete?",
            "recps",
            "Records a second that retention takes away; the margin over this pace is the time that is left.",
            [promql(f"max by (partition) (deriv(ordervault_log_start_offset{{{P}}}[$__rate_interval]))", "{{partition}}")],
            runbook="retention",
        ),
        lines(
            "Who has how many partitions?",
            "none",
            "Partitions of each replica. " + OWN,
            [promql(f"max by (pod, instance) (ordervault_assigned_partitions{{{L}}})", "{{pod}} {{instance}}")],
            decimals=0,
            runbook="lag-grows",
        ),
    )


def records():
    return row(
        "Records at fault",
        lines(
            "What becomes of the records?",
            "recps",
            "Records by outcome. Processed is the road; skipped ones are not the layer's; the others are dead letters.",
            [promql(f"sum by (outcome) (rate(ordervault_records_total{{{P}}}[$__rate_interval]))", "{{outcome}}")],
            runbook="dead-letters",
        ),
        lines(
            "Which dead letters are there?",
            "short",
            "Open and waiting ones by code; a code names the field at fault.",
            [promql(f'max by (status, code) (ordervault_dead_letters{{status=~"open|waiting", {L}}})', "{{status}} {{code}}")],
            thresholds=steps(look=1),
            decimals=0,
            calcs=["lastNotNull"],
            runbook="dead-letters",
        ),
        lines(
            "How long has the oldest waited?",
            "s",
            "The age of the oldest open and the oldest waiting dead letter.",
            [promql(f'max by (status) (ordervault_dead_letters_oldest_age_seconds{{status=~"open|waiting", {L}}})', "{{status}}")],
            thresholds=steps(look=3600),
            calcs=["lastNotNull"],
            runbook="dead-letters",
        ),
    )


def surroundings():
    return row(
        "Surroundings",
        states(
            "Which checks fail?",
            "The checks of /readyz. " + OWN,
            [promql(f"min by (pod, instance, check) (ordervault_check_passing{{{L}}})", "{{check}} {{pod}} {{instance}}")],
            8,
            7,
            {1: ("passes", FINE), 0: ("fails", ACT)},
            runbook="dependency-away",
        ),
        lines(
            "Who has the connections to PostgreSQL?",
            "none",
            "Connections by pool and state, of all replicas. The road's in use as high as BATCHES_AT_ONCE for each replica: the database sets the pace.",
            [promql(f"sum by (pool, state) (ordervault_pool_connections{{{L}}})", "{{pool}} {{state}}")],
            stacked=True,
            decimals=0,
            runbook="database-failover",
        ),
        lines(
            "How long does Kafka take to answer?",
            "s",
            "Mean round trip to the slowest broker, of the replica that has it worst, by client. The consumer's has the broker's wait for new records in it, up to half a second in calm.",
            [promql(f"max by (client) (ordervault_kafka_round_trip_seconds{{{L}}})", "{{client}}")],
            thresholds=steps(act=1),
            runbook="dependency-away",
        ),
        lines(
            "How many records are fetched ahead?",
            "short",
            "Records that lie in the clients' queues. Full queues say that the layer is the bottleneck, empty ones with lag that Kafka is.",
            [promql(f"sum(ordervault_kafka_fetch_queue_records{{{L}}})", "fetched"), promql(f"sum(ordervault_kafka_produce_queue_records{{{L}}})", "not yet acknowledged")],
            runbook="lag-grows",
        ),
        lines(
            "How much memory do the fetched records take?",
            "bytes",
            "Bytes in the clients' queues, of the replica that has most.",
            [promql(f"max(ordervault_kafka_fetch_queue_bytes{{{L}}})", "fetched")],
            runbook="replica-gone",
        ),
        lines(
            "Is the group at rest?",
            "short",
            "Rebalances and failed requests to brokers, in five minutes. Rebalances without a deployment: replicas come and go.",
            [
                promql(f"sum(increase(ordervault_kafka_rebalances_total{{{L}}}[5m]))", "rebalances"),
                promql(f"sum by (client) (increase(ordervault_kafka_request_errors_total{{{L}}}[5m]))", "failed requests, {{client}}"),
            ],
            thresholds=steps(look=10),
            runbook="replica-gone",
        ),
    )


def api():
    return row(
        "API",
        lines(
            "Which requests are answered?",
            "reqps",
            "Requests by route and status, without probes and metrics.",
            [
                promql(
                    f'sum by (route, status) (rate(ordervault_http_requests_total{{route!~"/livez|/readyz|/metrics", {L}}}[$__rate_interval]))',
                    "{{status}} {{route}}",
                )
            ],
            width=12,
            noValue="None",
            runbook="README",
        ),
        lines(
            "How long does an answer take?",
            "s",
            "99 of 100 requests are answered within this time, until the head of the answer; /metrics and the probes are there as well.",
            [promql(f"histogram_quantile(0.99, sum by (route, le) (rate(ordervault_http_request_seconds_bucket{{{L}}}[$__rate_interval])))", "{{route}}")],
            width=12,
            thresholds=steps(act=10),
            runbook="README",
        ),
    )


def process():
    return row(
        "Process",
        lines(
            "How much CPU does it take?",
            "short",
            "Cores. " + OWN,
            [promql(f"max by (pod, instance) (rate(process_cpu_seconds_total{{{L}}}[$__rate_interval]))", "{{pod}} {{instance}}")],
            width=6,
            runbook="replica-gone",
        ),
        lines(
            "How much memory does it hold?",
            "bytes",
            "Resident bytes. " + OWN + " The chart's limit is 128 MiB unless said otherwise.",
            [promql(f"max by (pod, instance) (process_resident_memory_bytes{{{L}}})", "{{pod}} {{instance}}")],
            width=6,
            thresholds=steps(look=120795955),
            runbook="replica-gone",
        ),
        lines(
            "How many files are open?",
            "percentunit",
            "Open file descriptors as a share of the limit. " + OWN,
            [promql(f"max by (pod, instance) (process_open_fds{{{L}}} / process_max_fds{{{L}}})", "{{pod}} {{instance}}")],
            width=6,
            thresholds=steps(act=0.8),
            runbook="replica-gone",
        ),
        table(
            "What runs, and since when?",
            "none",
            "Version and start of each replica. Two versions for long: a roll-out that came to a halt.",
            [promql(f"sum by (pod, instance, version, commit) (ordervault_build_info{{{L}}}) * on (pod, instance) group_left () max by (pod, instance) (process_start_time_seconds{{{L}}}) * 1000", instant=True, table=True)],
            6,
            7,
            overrides=[{"matcher": {"id": "byName", "options": "started"}, "properties": [{"id": "unit", "value": "dateTimeFromNow"}]}],
            transformations=[{"id": "organize", "options": {"excludeByName": {"Time": True}, "indexByName": {"pod": 0, "instance": 1, "version": 2, "commit": 3, "Value": 4}, "renameByName": {"Value": "started"}}}],
            runbook="replica-gone",
        ),
    )


def board_json():
    return board(
        "ordervault-layer",
        "Ordervault: Layer",
        "One layer in depth: what it does, where its time goes, and what stands in its way.",
        [
            source("prometheus", "Prometheus", "prometheus"),
            NAMESPACE,
            chosen("layer", "Layer", 'label_values(ordervault_build_info{namespace=~"$namespace"}, layer)', "stg, dds or cdm.", everything=False),
            chosen("partition", "Partition", f"label_values(ordervault_lag_records{{{L}}}, partition)", "Partitions of the layer's topic.", several=True),
            RUNBOOKS,
        ],
        [verdict(), time(), partitions(), records(), surroundings(), api(), process()],
        "1h",
        "10s",
    )
