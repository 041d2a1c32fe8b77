"""Pipeline: is it well? Read from the top left: the verdict, then each layer's pace, then what stands in its way."""

from panels import ACT, FINE, LAYERS, LOOK, NAMESPACE, RUNBOOKS, board, by_layer, lines, promql, row, source, stat, states, steps, table

N = 'namespace=~"$namespace"'
BEHIND = f'max(ordervault_lag_seconds{{{N}}}) unless on () min(ordervault_check_passing{{check="kafka", {N}}}) == 0'
OPEN = [{"title": "This layer in depth", "url": "/d/ordervault-layer?${prometheus:queryparam}&${namespace:queryparam}&var-layer=${__field.labels.layer}&${__url_time_range}"}]


def board_rows():
    yield row(
        "",
        stat(
            "Is the pipeline well?",
            "suffix:firing",
            "Alerts of Ordervault that fire now; not sure while one is about to. Needs the rules of dashboards/alerts.yaml; without data no service is scraped.",
            [
                promql(
                    f'''count(ALERTS{{alertname=~"Ordervault.*", alertstate="firing", {N}}})
                        or clamp(count(ALERTS{{alertname=~"Ordervault.*", alertstate="pending", {N}}}), -1, -1)
                        or 0 * count(ordervault_build_info{{{N}}})''',
                    "alerts",
                )
            ],
            thresholds=[(None, LOOK), (0, FINE), (1, ACT)],
            words={0: ("Yes", FINE), -1: ("Not sure", LOOK)},
            noValue="Nothing is scraped",
            runbook="README",
        ),
        stat(
            "How far behind are the counters?",
            "s",
            "The age of the oldest record that any layer has still to do; the objective is 30 s. 0 says that every counter is current.",
            [promql(BEHIND, "behind")],
            thresholds=steps(10, 30),
            decimals=1,
            noValue="Unknown: Kafka is away",
            runbook="lag-grows",
        ),
        stat(
            "Are the records in time?",
            "percentunit",
            "Records of the last hour that were in the counters within 30 s of their arrival in Kafka, without pauses and what "
            "they left behind. The objective is 99 % over 30 days.",
            [promql(f'1 - max(ordervault:late_ratio:1h{{layer="cdm", {N}}})', "in time")],
            thresholds=steps(0.999, 0.99, below=True),
            decimals=2,
            noValue="No records",
            runbook="late-records",
        ),
        stat(
            "Does every layer run?",
            "none",
            "Paused is somebody's word; a layer that has tripped paused itself, for too many dead letters; gone is one of which nothing is scraped.",
            [
                promql(
                    f'''max by (layer) (ordervault_desired_state{{layer="{layer}", state="paused", {N}}})
                        + max by (layer) (ordervault_paused{{layer="{layer}", kind="dead_letter_breaker", {N}}})
                        or on (layer) label_replace(vector(-1), "layer", "{layer}", "", "")''',
                    "{{layer}}",
                )
                for layer in LAYERS
            ],
            width=6,
            thresholds=[(None, ACT), (0, FINE), (1, LOOK), (2, ACT)],
            words={0: ("runs", FINE), 1: ("paused", LOOK), 2: ("tripped", ACT), -1: ("gone", ACT)},
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
            by_layer(f"max by (layer) (ordervault_lag_seconds{{LAYER, {N}}})"),
            thresholds=steps(act=30),
            links=OPEN,
            runbook="lag-grows",
        ),
        lines(
            "How many records does each layer do?",
            "recps",
            "Records that the layer was done with, a second, of all replicas: in step, the three lines lie on one another.",
            by_layer(f"sum by (layer) (rate(ordervault_records_total{{LAYER, {N}}}[$__rate_interval]))"),
            links=OPEN,
            runbook="lag-grows",
        ),
        lines(
            "How long does a record take?",
            "s",
            "99 of 100 records are done within this time, from their arrival in Kafka until this layer was done with them. "
            "The distance between two lines is what the layer adds.",
            by_layer(f"histogram_quantile(0.99, sum by (layer, le) (rate(ordervault_end_to_end_seconds_bucket{{LAYER, {N}}}[$__rate_interval])))"),
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
            by_layer(f"sum by (layer) (max by (layer, partition) (ordervault_lag_records{{LAYER, {N}}}))"),
            links=OPEN,
            runbook="lag-grows",
        ),
        lines(
            "How many dead letters are there?",
            "short",
            "Open ones wait for somebody's decision, waiting ones for the dictionary. Neither holds up other records.",
            by_layer(f'sum by (layer, status) (max by (layer, status, code) (ordervault_dead_letters{{LAYER, status=~"open|waiting", {N}}}))', "{{layer}} {{status}}"),
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
            [promql(f'sum by (alertname, severity, layer, check, pod, instance) (ALERTS{{alertname=~"Ordervault.*", alertstate="firing", {N}}})', instant=True, table=True)],
            8,
            7,
            noValue="None",
            transformations=[
                {
                    "id": "organize",
                    "options": {
                        "excludeByName": {"Time": True, "Value": True},
                        "indexByName": {"severity": 0, "alertname": 1, "layer": 2, "check": 3, "pod": 4, "instance": 5},
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
            "Attempts that were repeated after a fault of the surroundings, by layer; the board Layer says of which dependency. Now and then one is no reason to worry.",
            by_layer(f"sum by (layer) (rate(ordervault_retries_total{{LAYER, {N}}}[$__rate_interval]))"),
            height=6,
            runbook="dependency-away",
        ),
        states(
            "Is every replica ready?",
            "What /readyz of each replica says.",
            by_layer(f"max by (layer, pod, instance) (ordervault_ready{{LAYER, {N}}})", "{{layer}} {{pod}} {{instance}}"),
            8,
            6,
            {1: ("ready", FINE), 0: ("not ready", ACT)},
            runbook="replica-gone",
        ),
        stat(
            "How many replicas live?",
            "none",
            "Members of each layer with a heartbeat.",
            by_layer(f"max by (layer) (ordervault_members{{LAYER, {N}}})"),
            height=6,
            thresholds=steps(act=1, below=True),
            links=OPEN,
            runbook="replica-gone",
        ),
        stat(
            "How near is data loss?",
            "short",
            "Records until unread ones are deleted: committed offset less the first in Kafka, of the partition that has least. Below zero, some were "
            "deleted unread. OrdervaultNearDataLoss fires when it is less than what Kafka deleted in six hours.",
            by_layer(f"min by (layer) (ordervault_retention_margin_records{{LAYER, {N}}})"),
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
