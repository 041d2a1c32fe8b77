"""Pipeline: is it well? Read from the top left: the verdict, then each layer's pace, then what stands in its way."""

from panels import ACT, FINE, LOOK, NAMESPACE, RUNBOOKS, board, lines, promql, row, source, stat, states, steps, table

N = 'namespace=~"$namespace"'
OPEN = [{"title": "This layer in depth", "url": "/d/ordervault-layer?${prometheus:queryparam}&${namespace:queryparam}&var-layer=${__field.labels.layer}&${__url_time_range}"}]


def board_rows():
    yield row(
        "",
        stat(
            "Is the pipeline well?",
            "none",
            "Alerts of Ordervault that fire now. Needs the rules of dashboards/alerts.yaml; without data no service is scraped.",
            [promql(f'count(ALERTS{{alertname=~"Ordervault.*", alertstate="firing", {N}}}) or 0 * count(ordervault_build_info{{{N}}})', "alerts")],
            thresholds=steps(act=1),
            words={0: ("Yes", FINE)},
            noValue="Nothing is scraped",
            runbook="README",
        ),
        stat(
            "How far behind are the counters?",
            "s",
            "The age of the oldest record that any layer has still to do; the objective is 30 s. 0 says that every counter is current.",
            [promql(f"max(ordervault_lag_seconds{{{N}}})", "behind")],
            thresholds=steps(10, 30),
            decimals=1,
            runbook="lag-grows",
        ),
        stat(
            "Are the records in time?",
            "percentunit",
            "Records of the last hour that were in the counters within 30 s of their arrival in Kafka, without pauses and what "
            "they left behind. The objective is 99 % over 30 days.",
            [promql(f'1 - min(ordervault:late_ratio:1h{{layer="cdm", {N}}})', "in time")],
            thresholds=steps(0.999, 0.99, below=True),
            decimals=2,
            noValue="No records",
            runbook="late-records",
        ),
        stat(
            "Does every layer run?",
            "none",
            "What is desired of each layer. Paused is somebody's word, or the breaker's; a layer that is away is not here.",
            [promql(f'max by (layer) (ordervault_desired_state{{state="paused", {N}}})', "{{layer}}")],
            width=6,
            thresholds=steps(look=1),
            words={0: ("runs", FINE), 1: ("paused", LOOK)},
            links=OPEN,
            runbook="paused",
        ),
        stat(
            "Does every dependency answer?",
            "none",
            "Whether any replica of any layer finds Kafka, PostgreSQL or Redis away or unusable.",
            [promql(f'min by (check) (ordervault_check_passing{{check!="startup", {N}}})', "{{check}}")],
            width=6,
            thresholds=steps(act=1, below=True),
            words={1: ("answers", FINE), 0: ("away", ACT)},
            runbook="dependency-away",
        ),
    )
    yield row(
        "",
        lines(
            "How far behind is each layer?",
            "s",
            "The age of the oldest record that the layer has still to do. The first layer that is behind is the one to look at.",
            [promql(f"max by (layer) (ordervault_lag_seconds{{{N}}})", "{{layer}}")],
            thresholds=steps(act=30),
            links=OPEN,
            runbook="lag-grows",
        ),
        lines(
            "How many records does each layer do?",
            "recps",
            "Records that the layer was done with, a second, of all replicas: in step, the three lines lie on one another.",
            [promql(f"sum by (layer) (rate(ordervault_records_total{{{N}}}[$__rate_interval]))", "{{layer}}")],
            links=OPEN,
            runbook="lag-grows",
        ),
        lines(
            "How long does a record take?",
            "s",
            "99 of 100 records are done within this time, from their arrival in Kafka until this layer was done with them. "
            "The distance between two lines is what the layer adds.",
            [promql(f"histogram_quantile(0.99, sum by (layer, le) (rate(ordervault_end_to_end_seconds_bucket{{{N}}}[$__rate_interval])))", "{{layer}}")],
            thresholds=steps(act=30),
            links=OPEN,
            runbook="late-records",
        ),
    )
    yield row(
        "",
        lines(
            "How many records wait?",
            "short",
            "Records in Kafka that are not yet committed, of all partitions.",
            [promql(f"sum by (layer) (max by (layer, partition) (ordervault_lag_records{{{N}}}))", "{{layer}}")],
            links=OPEN,
            runbook="lag-grows",
        ),
        lines(
            "How many dead letters are there?",
            "short",
            "Open ones wait for somebody's decision, waiting ones for the dictionary. Neither holds up other records.",
            [promql(f'sum by (layer, status) (max by (layer, status, code) (ordervault_dead_letters{{status=~"open|waiting", {N}}}))', "{{layer}} {{status}}")],
            thresholds=steps(look=1),
            decimals=0,
            calcs=["lastNotNull"],
            links=OPEN,
            runbook="dead-letters",
        ),
        table(
            "Which alerts fire?",
            "none",
            "Each with its layer and what it is about. The runbooks say what to do first.",
            [promql(f'sum by (alertname, severity, layer, check, instance) (ALERTS{{alertname=~"Ordervault.*", alertstate="firing", {N}}})', instant=True, table=True)],
            8,
            7,
            noValue="None",
            transformations=[
                {
                    "id": "organize",
                    "options": {
                        "excludeByName": {"Time": True, "Value": True},
                        "indexByName": {"severity": 0, "alertname": 1, "layer": 2, "check": 3, "instance": 4},
                        "renameByName": {"alertname": "alert"},
                    },
                }
            ],
            runbook="README",
        ),
    )
    yield row(
        "",
        lines(
            "What has to be tried again?",
            "ops",
            "Attempts that were repeated after a fault of the surroundings, by layer and dependency. Now and then one is no reason to worry.",
            [promql(f"sum by (layer, dependency) (rate(ordervault_retries_total{{{N}}}[$__rate_interval]))", "{{layer}} {{dependency}}")],
            height=6,
            noValue="Nothing",
            runbook="dependency-away",
        ),
        states(
            "Is every replica ready?",
            "What /readyz of each replica says.",
            [promql(f"max by (layer, instance) (ordervault_ready{{{N}}})", "{{layer}} {{instance}}")],
            8,
            6,
            {1: ("ready", FINE), 0: ("not ready", ACT)},
            runbook="replica-gone",
        ),
        stat(
            "How many replicas live?",
            "none",
            "Members of each layer with a heartbeat.",
            [promql(f"max by (layer) (ordervault_members{{{N}}})", "{{layer}}")],
            height=6,
            thresholds=steps(act=1, below=True),
            links=OPEN,
            runbook="replica-gone",
        ),
        stat(
            "How many records until unread ones are deleted?",
            "short",
            "Committed offset less the partition's first record in Kafka, of the partition that has least. Below zero, records were "
            "deleted unread. OrdervaultNearDataLoss fires when it is less than what Kafka deleted in six hours.",
            [promql(f"min by (layer) (ordervault_retention_margin_records{{{N}}})", "{{layer}}")],
            height=6,
            thresholds=[(None, ACT), (0, FINE)],
            links=OPEN,
            runbook="retention",
        ),
    )


def board_json():
    return board(
        "ordervault-pipeline",
        "Ordervault: Pipeline",
        "Is it well? Top left is the verdict; the rows below say which layer, and what stands in its way.",
        [source("prometheus", "Prometheus", "prometheus"), NAMESPACE, RUNBOOKS],
        list(board_rows()),
        "1h",
        "10s",
    )
