"""Unit tests for promtool: a world of three layers with two replicas each that is well, and what an incident changes."""

STEP = 30
LAYERS = ("stg", "dds", "cdm")
CHECKS = {"stg": ("kafka", "postgres", "redis"), "dds": ("kafka", "postgres"), "cdm": ("kafka", "postgres")}
REPLICAS = ("a", "b")
STALE = "stale"
MISSING = "_"


class World:
    """Series by name and labels, each a function of the step. Healthy at first; an incident overrides some of them."""

    def __init__(self, replicas=REPLICAS):
        self.series = {}
        for layer in LAYERS:
            for replica in replicas:
                self._replica(layer, replica)

    def set(self, name, value, **where):
        """Overrides every series of this name whose labels agree; one that is nowhere is an error of the test."""
        found = [key for key in self.series if key[0] == name and where.items() <= dict(key[1]).items()]
        if not found:
            raise KeyError(f"no series {name} {where}")
        for key in found:
            self.series[key] = value if callable(value) else (lambda step, constant=value: constant)

    def add(self, name, value, **labels):
        """A series more."""
        self.series[name, tuple(sorted(labels.items()))] = value if callable(value) else (lambda step, constant=value: constant)

    def gone(self, since, until=None, value=STALE, **where):
        """What is scraped of a replica is there no more from one step to another. Prometheus marks it stale once."""
        for key, before in list(self.series.items()):
            if key[0] == "up" or not where.items() <= dict(key[1]).items():
                continue
            self.series[key] = lambda step, before=before: (
                before(step) if step < since or (until is not None and step >= until) else value if step == since else MISSING
            )

    def only(self, prefix="", **where):
        """Leaves out what an incident that takes long has nothing to do with."""
        self.series = {
            key: value for key, value in self.series.items() if key[0].startswith(prefix) and where.items() <= dict(key[1]).items()
        }

    def _replica(self, layer, replica):
        target = {"namespace": "shop", "job": f"ordervault-{layer}", "instance": f"{layer}-{replica}:5000", "pod": f"{layer}-{replica}"}
        own = {**target, "layer": layer}
        self.add("up", 1, **target)
        self.add("ordervault_build_info", 1, **own, version="1.0.0", commit="abc")
        self.add("ordervault_ready", 1, **own)
        self.add("ordervault_members", 2, **own)
        for check in ("startup", *CHECKS[layer]):
            self.add("ordervault_check_passing", 1, **own, check=check)
        for state, value in (("running", 1), ("paused", 0)):
            self.add("ordervault_desired_state", value, **own, state=state)
        for state, value in (("starting", 0), ("running", 1), ("paused", 0)):
            self.add("ordervault_actual_state", value, **own, state=state)
        for kind in ("operator", "dead_letter_breaker"):
            self.add("ordervault_paused", 0, **own, kind=kind)
        self.add("ordervault_progress_age_seconds", 0.05, **own)
        for partition in ("0", "1"):
            self.add("ordervault_lag_records", 2, **own, partition=partition)
            self.add("ordervault_lag_seconds", 0.1, **own, partition=partition)
            self.add("ordervault_retention_margin_records", 500000, **own, partition=partition)
            self.add("ordervault_log_start_offset", lambda step: 1000 + 100 * step, **own, partition=partition)
        for bound in ("30", "3600"):
            self.add("ordervault_end_to_end_seconds_bucket", lambda step: 1500 * step, **own, le=bound)
        for status in ("open", "waiting"):
            self.add("ordervault_dead_letters", 0, **own, status=status, code="")
            self.add("ordervault_dead_letters_oldest_age_seconds", 0, **own, status=status)
        self.add("process_open_fds", 60, **own)
        self.add("process_max_fds", 1024, **own)
        self.add("process_resident_memory_bytes", 60e6, **own, container=layer)
        if layer == "cdm":
            self.add("ordervault_audit_last_success_timestamp_seconds", 0, **own)
            self.add("ordervault_audit_daily", 1, **own)
            for table in ("cdm.user_product_counters", "cdm.order_ledger"):
                self.add("ordervault_audit_wrong_rows", 0, **own, table=table)


def since(step, then, before=0):
    """A value from a step on; `then` may be a function of the steps since."""
    return lambda now: before if now < step else then(now - step) if callable(then) else then


def between(first, last, then, before=0):
    """A value from a step to another, exclusive."""
    return lambda now: then if first <= now < last else before


def written(values):
    """promtool's short form: runs of equal steps as first+differencexcount."""
    parts, index = [], 0
    while index < len(values):
        value = values[index]
        if isinstance(value, str):
            end = index + 1
            while end < len(values) and values[end] == value:
                end += 1
            parts.append(value if end - index == 1 else f"{value}x{end - index}")
            index = end
            continue
        end, by = index + 1, None
        while end < len(values) and not isinstance(values[end], str):
            step = round(values[end] - values[end - 1], 9)
            if by is None:
                by = step
            if step != by:
                break
            end += 1
        run = end - index - 1
        if run == 0:
            parts.append(f"{value:.12g}")
        elif by == 0:
            parts.append(f"{value:.12g}x{run}")
        else:
            parts.append(f"{value:.12g}{by:+.12g}x{run}")
        index = end
    return " ".join(parts)


def clock(step, seconds):
    """A step as promtool's duration."""
    minutes, rest = divmod(step * seconds, 60)
    return f"{minutes}m{rest}s" if rest else f"{minutes}m"


def selector(name, labels):
    """A series as PromQL writes it."""
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in labels) + "}"


def lines(test):
    """One test of a file, as YAML."""
    seconds = test.get("seconds", STEP)
    yield f"  - name: '{test['name']}'"
    yield f"    interval: {seconds}s"
    yield "    input_series:"
    for (name, labels), value in test["world"].series.items():
        values = written([value(step) for step in range(test["steps"])])
        yield f"      - series: '{selector(name, labels)}'"
        yield f"        values: {values}"
    yield "    promql_expr_test:"
    for step, expected in test["firing"]:
        yield '      - expr: count by (alertname, severity, layer, check, instance, table, partition) (ALERTS{alertstate="firing"})'
        yield f"        eval_time: {clock(step, seconds)}"
        yield "        exp_samples:" + (" []" if not expected else "")
        for labels in expected:
            ordered = sorted(labels.items())
            yield f"          - labels: '{selector('', ordered)}'"
            yield "            value: 1"
    for step, question in test["unanswered"]:
        yield f"      - expr: {question}"
        yield f"        eval_time: {clock(step, seconds)}"


def document(tests, seconds, rules):
    """A whole file."""
    out = [f"rule_files: [{rules}]", f"evaluation_interval: {seconds}s", "tests:"]
    for test in tests:
        out += lines(test)
    return "\n".join(out) + "\n"
