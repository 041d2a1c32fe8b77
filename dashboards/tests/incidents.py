"""What happens to a pipeline, and exactly which alerts fire then: the unit tests of dashboards/alerts.yaml."""

from promtool import LAYERS, STALE, MISSING, World, between, document, since

def alert(name, severity, **labels):
    """An alert that fires, by the labels that tell it from others."""
    return {"alertname": f"Ordervault{name}", "severity": severity, **labels}


def test(name, world, steps, *firing, seconds=30, unanswered=()):
    """A test: at these steps exactly these alerts fire, and these questions have no answer."""
    return {"name": name, "world": world, "steps": steps, "firing": firing, "seconds": seconds, "unanswered": unanswered}


def every(minutes, expected, first=0, last=None):
    """The same expectation, looked at again and again: silence is only that when it lasts."""
    return [(step, expected) for step in range(first * 2, last * 2, minutes * 2)]


def dependency_away(world, check, layers, first, last, records=1000):
    """A dependency is away: its checks fail, batches wait, lag grows and falls again within two minutes."""
    for layer in layers:
        world.set("ordervault_check_passing", between(first, last, 0, 1), layer=layer, check=check)
        world.set("ordervault_ready", between(first, last, 0, 1), layer=layer)
        world.set("ordervault_progress_age_seconds", lambda now: 30 * (now - first) if first <= now < last else 0.05, layer=layer)
        behind(world, layer, first, last, records)
    late = lambda now: 1500 * min(now, first) + (0 if now < last + 4 else 1500 * (now - last - 4))
    world.set("ordervault_end_to_end_seconds_bucket", late, layer="cdm", le="30")
    world.set("ordervault_end_to_end_seconds_bucket", lambda now: 1500 * (first if first <= now < last else now), layer="cdm", le="3600")


def behind(world, layer, first, last, records=1000, catch_up=4):
    """Lag that grows between two steps, and is worked off in a few more."""

    def grown(by):
        def value(now):
            if now < first:
                return 0
            if now < last:
                return by * (now - first)
            return max(0, by * (last - first) * (1 - (now - last + 1) / catch_up))

        return value

    world.set("ordervault_lag_records", grown(records), layer=layer)
    world.set("ordervault_lag_seconds", grown(30), layer=layer)


def paused(world, layer, first, last, kind):
    """Somebody's word, and the members' obedience."""
    world.set("ordervault_paused", between(first, last, 1), layer=layer, kind=kind)
    world.set("ordervault_desired_state", between(first, last, 1), layer=layer, state="paused")
    world.set("ordervault_desired_state", between(first, last, 0, 1), layer=layer, state="running")
    world.set("ordervault_actual_state", between(first, last, 1), layer=layer, state="paused")
    world.set("ordervault_actual_state", between(first, last, 0, 1), layer=layer, state="running")
    behind(world, layer, first, last)


def late_records(world, first, last, share, layer="cdm"):
    """A share of the records of a layer is done later than 30 s."""
    on_time = lambda now: 1500 * now - 1500 * share * max(0, min(now, last) - first)
    world.set("ordervault_end_to_end_seconds_bucket", on_time, layer=layer, le="30")


def restarted(world, layer, replica, first):
    """A pod goes and another comes in its place, which is not ready for a minute."""
    old = {"layer": layer, "pod": f"{layer}-{replica}"}
    keys = [key for key in world.series if old.items() <= dict(key[1]).items()]
    for name, labels in keys:
        new = {**dict(labels), "pod": f"{layer}-{replica}2", "instance": f"{layer}-{replica}2:5000", "version": "1.1.0"}
        if name != "ordervault_build_info":
            del new["version"]
        starting = {
            "ordervault_check_passing": 0,
            "ordervault_ready": 0,
            "ordervault_actual_state": 1 if new.get("state") == "starting" else 0,
        }
        before = world.series[name, labels]
        world.add(
            name,
            lambda now, before=before, name=name, starting=starting: (
                MISSING if now < first else starting.get(name, before(now - first)) if now < first + 2 else before(now - first)
            ),
            **new,
        )
    world.add("up", lambda now: MISSING if now < first else 1, namespace="shop", job=f"ordervault-{layer}", instance=f"{layer}-{replica}2:5000", pod=f"{layer}-{replica}2")
    world.gone(first, **old)
    world.set("up", lambda now: 1 if now < first else 0 if now == first else STALE if now == first + 1 else MISSING, pod=f"{layer}-{replica}")


def stopped_database():
    world = World()
    dependency_away(world, "postgres", LAYERS, 40, 80)
    return test(
        "the database is stopped for twenty minutes",
        world,
        240,
        (39, []),
        (43, []),
        *[(step, [alert("DependencyAway", "critical", layer=layer, check="postgres") for layer in LAYERS]) for step in (46, 60, 79)],
        *every(2, [], 41, 115),
    )


def starts_while_the_database_is_stopped():
    """What was not asked yet is not said to be away, neither here nor where a start takes its time."""
    world = World()
    for pod in ("dds-a", "dds-b"):
        world.set("ordervault_check_passing", between(40, 80, 0, 1), pod=pod, check="startup")
        world.set("ordervault_check_passing", between(40, 80, 0, 1), pod=pod, check="postgres")
        world.set("ordervault_check_passing", between(40, 80, MISSING, 1), pod=pod, check="kafka")
    return test(
        "a layer is started while the database is stopped",
        world,
        120,
        *[(step, [alert("DependencyAway", "critical", layer="dds", check="postgres")]) for step in (46, 60, 79)],
        (84, []),
    )


def start_that_does_not_end():
    world = World()
    restarted(world, "dds", "a", 40)
    new = {"pod": "dds-a2"}
    world.set("ordervault_check_passing", lambda now: MISSING if now < 40 else 0, check="startup", **new)
    for check in ("kafka", "postgres"):
        world.set("ordervault_check_passing", MISSING, check=check, **new)
    for series in ("ordervault_desired_state", "ordervault_actual_state"):
        world.set(series, lambda now: MISSING if now < 40 else 0, **new)
    return test(
        "a new replica waits for the lock of a migration while the other works",
        world,
        160,
        (58, []),
        *[(step, [alert("StartDoesNotEnd", "critical", layer="dds", instance="dds-a2:5000")]) for step in (62, 100, 159)],
    )


def stopped_kafka():
    world = World()
    dependency_away(world, "kafka", LAYERS, 40, 80)
    # The broker cannot be asked: the lag stays what it was.
    for layer in LAYERS:
        world.set("ordervault_lag_records", between(40, 84, 3), layer=layer)
        world.set("ordervault_lag_seconds", lambda now: 30 * (80 - 40) if 80 <= now < 83 else 0, layer=layer)
    return test(
        "Kafka is stopped for twenty minutes",
        world,
        240,
        *[(step, [alert("DependencyAway", "critical", layer=layer, check="kafka") for layer in LAYERS]) for step in (46, 60, 79)],
        *every(2, [], 41, 115),
    )


def stopped_redis():
    world = World()
    dependency_away(world, "redis", ["stg"], 40, 80)
    return test(
        "Redis is stopped for twenty minutes",
        world,
        240,
        *[(step, [alert("DependencyAway", "critical", layer="stg", check="redis")]) for step in (46, 60, 79)],
        *every(2, [], 41, 115),
    )


def one_replica_without_database():
    world = World()
    world.set("ordervault_check_passing", between(40, 80, 0, 1), pod="dds-a", check="postgres")
    world.set("ordervault_progress_age_seconds", lambda now: 30 * (now - 40) if 40 <= now < 80 else 0.05, pod="dds-a")
    return test(
        "one replica of two cannot reach the database",
        world,
        120,
        (60, [alert("DependencyAway", "critical", layer="dds", check="postgres")]),
        (84, []),
    )


def poison():
    world = World()
    paused(world, "dds", 40, 80, "dead_letter_breaker")
    world.set("ordervault_dead_letters", since(40, 700), layer="dds", status="open", code="")
    late_records(world, 80, 84, 1)
    return test(
        "a poison stream trips the breaker, and somebody resumes",
        world,
        240,
        *[(step, [alert("BreakerTripped", "critical", layer="dds")]) for step in (43, 60, 79)],
        *[(step, [alert("DeadLettersOpen", "warning", layer="dds")]) for step in (92, 120, 200)],
    )


def paused_on_purpose():
    world = World()
    paused(world, "dds", 40, 100, "operator")
    world.set("ordervault_progress_age_seconds", lambda now: 30 * (now - 40) if 40 <= now < 100 else 0.05, layer="dds")
    late_records(world, 100, 104, 1)
    return test(
        "paused on purpose for half an hour, and the backlog afterwards",
        world,
        400,
        *every(1, [], 0, 195),
    )


def paused_long():
    world = World()
    paused(world, "stg", 40, 200, "operator")
    # The records that waited are late in every layer behind it.
    for layer in LAYERS:
        late_records(world, 200, 204, 1, layer)
    return test(
        "paused on purpose, and forgotten",
        world,
        400,
        (150, []),
        *[(step, [alert("PausedLong", "warning", layer="stg")]) for step in (162, 180, 199)],
        *every(2, [], 101, 195),
    )


def hung_member():
    world = World()
    world.set("ordervault_progress_age_seconds", since(40, lambda steps: 30 * steps, 0.05), pod="cdm-a")
    for series in ("ordervault_lag_records", "ordervault_lag_seconds"):
        world.set(series, since(40, lambda steps: 30 * steps), layer="cdm", partition="0")
    late_records(world, 42, 1000, 0.5)
    return test(
        "one member of two hangs with its partition",
        world,
        120,
        (41, []),
        *[(step, [alert("NoProgress", "critical", layer="cdm", instance="cdm-a:5000")]) for step in (48, 60, 90, 119)],
    )


def hung_member_without_partition():
    world = World()
    world.set("ordervault_progress_age_seconds", since(40, lambda steps: 30 * steps, 0.05), pod="cdm-a")
    return test(
        "one member of two hangs, and the other has taken its partition over",
        world,
        120,
        *[(step, [alert("NoProgress", "critical", layer="cdm", instance="cdm-a:5000")]) for step in (48, 60, 90, 119)],
    )


def nothing_to_do():
    world = World()
    world.set("ordervault_progress_age_seconds", since(40, lambda steps: 30 * steps, 0.05), layer="cdm")
    world.set("ordervault_lag_records", 0, layer="cdm")
    return test("no progress where nothing waits is no incident", world, 80, (60, []), (79, []))


def lost_replica():
    world = World()
    world.gone(40, pod="dds-a", layer="dds")
    world.set("up", since(40, 0, 1), pod="dds-a")
    # The other has its partitions within the session's ten seconds.
    return test(
        "a replica of two is lost",
        world,
        120,
        (48, []),
        *[(step, [alert("TargetDown", "warning", layer="dds", instance="dds-a:5000")]) for step in (51, 60, 119)],
    )


def replica_never_well():
    world = World()
    world.add("up", since(40, 0, MISSING), namespace="shop", job="ordervault-dds", instance="dds-c:5000", pod="dds-c")
    return test(
        "a new replica never comes up",
        world,
        120,
        (48, []),
        *[(step, [alert("TargetDown", "warning", instance="dds-c:5000")]) for step in (51, 60, 119)],
    )


def lost_layer():
    world = World()
    for pod in ("dds-a", "dds-b"):
        world.gone(40, pod=pod, layer="dds")
        world.set("up", since(40, 0, 1), pod=pod)
    return test(
        "every replica of a layer is lost",
        world,
        120,
        (45, []),
        *[(step, [alert("NoMember", "critical", layer="dds")]) for step in (47, 60, 119)],
    )


def lost_layer_of_one_job():
    """As compose scrapes: one job for all layers, whose targets stay."""
    world = World(("a",))
    renamed = World(())
    for (name, labels), value in world.series.items():
        renamed.add(name, value, **({label: text for label, text in labels if label not in ("namespace", "pod")} | {"job": "ordervault"}))
    renamed.gone(40, layer="dds")
    renamed.set("up", since(40, 0, 1), instance="dds-a:5000")
    return test(
        "the only replica of a layer is lost for hours, of a job that has others",
        renamed,
        400,
        *[(step, [alert("NoMember", "critical", layer="dds")]) for step in (47, 170, 399)],
    )


def lost_for_a_day():
    world = World()
    world.only(layer="dds")
    for pod in ("dds-a", "dds-b"):
        world.gone(4, pod=pod)
    return test(
        "every replica of a layer is gone for a day, and its targets with it",
        world,
        400,
        *[(step, [alert("NoMember", "critical", layer="dds")]) for step in (8, 200, 399)],
        seconds=240,
    )


def lost_replica_for_hours():
    world = World()
    world.only(layer="dds")
    world.gone(4, pod="dds-a", layer="dds")
    for replica, value in (("a", since(4, 0, 1)), ("b", 1)):
        world.add("up", value, namespace="shop", job="ordervault-dds", instance=f"dds-{replica}:5000", pod=f"dds-{replica}")
    return test(
        "a replica of two is lost for hours",
        world,
        200,
        *[(step, [alert("TargetDown", "warning", layer="dds", instance="dds-a:5000")]) for step in (8, 19, 21, 60, 199)],
        seconds=240,
    )


def slow_database():
    world = World()
    for layer in ("dds", "cdm"):
        behind(world, layer, 40, 200)
    late_records(world, 42, 1000, 1)
    return test(
        "a slow database, and two layers that fall ever further behind",
        world,
        200,
        (45, []),
        *[(step, [alert("LagGrows", "critical", layer=layer) for layer in ("cdm", "dds")]) for step in (56, 100, 199)],
    )


def slow_from_the_start():
    """Prometheus has but minutes to look back on, in which the share of late records is great at once."""
    world = World(("a",))
    behind(world, "cdm", 10, 200)
    late_records(world, 11, 1000, 1)
    lag = [alert("LagGrows", "critical", layer="cdm")]
    return test("a slow database, a few minutes after Prometheus has begun", world, 60, *[(step, []) for step in range(12, 22)], (24, lag), (40, lag), (59, lag))


def slow_but_in_step():
    world = World()
    world.set("ordervault_lag_seconds", lambda now: 45 - now % 2, layer="cdm")
    late_records(world, 40, 1000, 0.5)
    return test(
        "a database just slow enough that every other record is late",
        world,
        240,
        (45, []),
        *[(step, [alert("RecordsLate", "critical", layer="cdm")]) for step in (100, 160, 239)],
    )


def slow_by_turns():
    """The oldest record's age goes up and down within two minutes: no cause is told of, since none holds for five."""
    world = World()
    world.set("ordervault_lag_seconds", lambda now: 30 + 30 * (now % 4), layer="cdm")
    late_records(world, 40, 1000, 0.5)
    return test(
        "a layer that falls behind and catches up by turns, so that every other record is late",
        world,
        240,
        (45, []),
        *[(step, [alert("RecordsLate", "critical", layer="cdm")]) for step in range(100, 108)],
    )


def paused_then_slow_in_step():
    """What a pause left is worked off; what comes after is not excused by it."""
    world = World()
    paused(world, "dds", 40, 80, "operator")
    world.set("ordervault_lag_seconds", lambda now: 45 - now % 2, layer="cdm")
    late_records(world, 80, 2000, 0.5)
    return test(
        "a pause, and a database just slow enough after it",
        world,
        600,
        *every(2, [], 0, 70),
        *[(step, [alert("RecordsLate", "critical", layer="cdm")]) for step in (340, 420, 599)],
    )


def replayed_history():
    world = World()
    # The offsets of DDS are taken back by an hour, worked off within ten minutes; CDM gets every record once more.
    world.set("ordervault_retention_margin_records", lambda now: 500000 if now < 40 else min(500000, 300000 + 10000 * (now - 40)), layer="dds")
    world.set("ordervault_lag_records", lambda now: max(0, 200000 - 10000 * (now - 40)) if now >= 40 else 0, layer="dds")
    world.set("ordervault_lag_seconds", lambda now: max(0, 3600 - 180 * (now - 40)) if now >= 40 else 0, layer="dds")
    for layer in ("dds", "cdm"):
        late_records(world, 40, 60, 1, layer)
    counted = "ordervault:records_done:increase5m or ordervault:records_late:increase5m"
    return test("history that is replayed pages nobody", world, 240, *every(1, [], 0, 118), unanswered=[(step, counted) for step in (42, 60, 68)])


def quiet_night():
    world = World(("a",))
    # An order every five minutes, one of which is late.
    world.set("ordervault_end_to_end_seconds_bucket", lambda now: now // 10, layer="cdm", le="3600")
    world.set("ordervault_end_to_end_seconds_bucket", lambda now: now // 10 - (1 if now >= 40 else 0), layer="cdm", le="30")
    world.only("ordervault_", layer="cdm")
    return test("one late order of the few of a quiet night", world, 140, *every(1, [], 0, 69))


def first_backlog():
    world = World(("a",))
    # A new group reads three days of history; nothing is committed before its first batch.
    for layer in LAYERS:
        world.set("ordervault_retention_margin_records", lambda now: MISSING if now < 2 else 10000 * now, layer=layer)
        world.set("ordervault_lag_records", lambda now: max(0, 400000 - 10000 * now), layer=layer)
        world.set("ordervault_lag_seconds", lambda now: max(0, 259200 - 6480 * now), layer=layer)
        late_records(world, 0, 40, 1, layer)
    return test("the first backlog of a new group pages nobody", world, 240, *every(1, [], 0, 118))


def first_backlog_of_a_busy_topic():
    """What is left before the deletion of a topic that is deleted from all the time, and read ten times as fast."""
    world = World(("a",))
    for layer in LAYERS:
        world.set("ordervault_log_start_offset", lambda now: 30000 * now, layer=layer)
        world.set("ordervault_retention_margin_records", lambda now: MISSING if now < 2 else 270000 * now, layer=layer)
        world.set("ordervault_lag_records", lambda now: max(0, 60000000 - 270000 * now), layer=layer)
        world.set("ordervault_lag_seconds", lambda now: max(0, 60000 - 270 * now), layer=layer)
        late_records(world, 0, 222, 1, layer)
    return test("the first backlog on a busy topic pages nobody", world, 300, *every(1, [], 0, 149))


def rolling_restart():
    world = World()
    for nth, (layer, replica) in enumerate((layer, replica) for layer in LAYERS for replica in ("a", "b")):
        restarted(world, layer, replica, 40 + 4 * nth)
    return test("a rolling restart of all layers", world, 160, *every(1, [], 0, 79))


def nothing_yet():
    world = World()
    world.series = {}
    world.add("up", 0, namespace="shop", job="ordervault-cdm", instance="cdm-a:5000")
    return test("no data at the start", world, 60, *every(2, [], 0, 29))


def compose_start():
    """Without namespaces and pods, every target under one job, one replica each, not ready for two minutes."""
    world = World(("a",))
    renamed = World(())
    for (name, labels), value in world.series.items():
        kept = {label: text for label, text in labels if label not in ("namespace", "pod", "container")} | {"job": "ordervault"}
        if name in ("ordervault_ready", "ordervault_check_passing"):
            renamed.add(name, between(0, 3, 0, 1), **kept)
        else:
            renamed.add(name, value, **kept)
    for layer in LAYERS:
        renamed.set("ordervault_check_passing", between(60, 90, 0, between(0, 3, 0, 1)(60)), layer=layer, check="postgres")
    return test(
        "without labels of Kubernetes: a start, then a stopped database",
        renamed,
        120,
        *every(2, [], 0, 30),
        *[(step, [alert("DependencyAway", "critical", layer=layer, check="postgres") for layer in LAYERS]) for step in (66, 89)],
        (94, []),
    )


def flapping():
    world = World()
    flaps = lambda now: 1 if now < 40 else (now // 2) % 2
    world.set("ordervault_check_passing", flaps, pod="stg-a", check="redis")
    world.set("ordervault_ready", flaps, pod="stg-a")
    return test("a dependency that comes and goes", world, 120, (44, []), (60, [alert("ReadinessFlaps", "warning", layer="stg")]))


def not_obeying():
    world = World()
    world.set("ordervault_paused", since(40, 1), layer="dds", kind="operator")
    world.set("ordervault_desired_state", since(40, 1), layer="dds", state="paused")
    world.set("ordervault_desired_state", since(40, 0, 1), layer="dds", state="running")
    world.set("ordervault_actual_state", since(42, 1), pod="dds-b", state="paused")
    world.set("ordervault_actual_state", since(42, 0, 1), pod="dds-b", state="running")
    return test(
        "a member that does not pause",
        world,
        120,
        (48, []),
        (52, [alert("BehindDesiredState", "warning", layer="dds", instance="dds-a:5000")]),
    )


def retention_near():
    world = World(("a",))
    world.only(layer="dds")
    paused(world, "dds", 0, 2000, "operator")
    world.set("ordervault_log_start_offset", lambda now: 1000 + 500 * now, layer="dds")
    world.set("ordervault_retention_margin_records", lambda now: 200000 - 500 * now, layer="dds")
    near = [alert("NearDataLoss", "critical", layer="dds", partition=partition) for partition in ("0", "1")]
    lost = [alert("RecordsLost", "critical", layer="dds", partition=partition) for partition in ("0", "1")]
    long = [alert("PausedLong", "warning", layer="dds")]
    return test(
        "retention overtakes a paused layer",
        world,
        420,
        (110, []),
        (180, long),
        (300, long + near),
        (410, long + lost),
    )


def current_on_a_short_topic():
    world = World()
    # A topic that keeps an hour: the margin is always smaller than six hours' deletions.
    world.set("ordervault_log_start_offset", lambda now: 1000 + 500 * now, layer="dds")
    world.set("ordervault_retention_margin_records", 60000, layer="dds")
    world.only(layer="dds")
    return test("a topic that keeps little, and a layer that is current", world, 800, *every(30, [], 0, 399))


def dead_letters():
    world = World()
    world.set("ordervault_dead_letters", since(40, 3), layer="dds", status="open", code="")
    world.set("ordervault_dead_letters_oldest_age_seconds", since(0, lambda steps: 30 * steps), layer="stg", status="waiting")
    return test(
        "dead letters, open and waiting",
        world,
        160,
        (48, []),
        (52, [alert("DeadLettersOpen", "warning", layer="dds")]),
        (140, [alert("DeadLettersOpen", "warning", layer="dds"), alert("DeadLettersWaitLong", "warning", layer="stg")]),
    )


def drift():
    world = World()
    world.set("ordervault_audit_wrong_rows", since(40, 7), table="cdm.user_product_counters")
    return test(
        "an audit finds wrong rows",
        world,
        60,
        (39, []),
        (44, [alert("AuditDrift", "warning", layer="cdm", table="cdm.user_product_counters")]),
    )


def near_limits():
    world = World()
    world.add("kube_pod_container_resource_limits", 64e6, namespace="shop", pod="cdm-a", container="cdm", resource="memory")
    world.add("kube_pod_container_resource_limits", 128e6, namespace="shop", pod="cdm-b", container="cdm", resource="memory")
    world.set("process_open_fds", 900, pod="stg-b")
    return test(
        "memory and files near their limits",
        world,
        60,
        (30, [alert("MemoryNearLimit", "warning", layer="cdm"), alert("FilesNearLimit", "warning", layer="stg", instance="stg-b:5000")]),
    )


def slow_burn():
    """Days, so in steps of four minutes, and of one layer."""
    world = World(("a",))
    world.only("ordervault_end_to_end", layer="cdm")
    late_records(world, 100, 2000, 0.02)
    return test(
        "two records of a hundred late, for days",
        world,
        400,
        (99, []),
        (399, [alert("LatencyBudgetShrinks", "warning", layer="cdm")]),
        seconds=240,
    )


def stale_audit():
    world = World(("a",))
    world.only("ordervault_audit")
    # Tests begin at the time 0: this audit ended an hour less than two days before.
    world.set("ordervault_audit_last_success_timestamp_seconds", -2 * 86400 + 3600)
    return test(
        "the last of the daily audits was two days ago",
        world,
        40,
        (14, []),
        (34, [alert("AuditStale", "warning", layer="cdm")]),
        seconds=240,
    )


def never_audited():
    world = World(("a",))
    world.only("ordervault_audit_daily")
    return test(
        "audits are to be daily, and none has ever come to its end",
        world,
        760,
        (719, []),
        (740, [alert("AuditStale", "warning", layer="cdm")]),
        seconds=240,
    )


def audited_by_hand():
    world = World(("a",))
    world.only("ordervault_audit")
    world.set("ordervault_audit_daily", 0)
    world.set("ordervault_audit_last_success_timestamp_seconds", -30 * 86400)
    return test("an audit by hand, a month ago", world, 40, *every(8, [], 0, 19), seconds=240)


INCIDENTS = [
    stopped_database,
    starts_while_the_database_is_stopped,
    start_that_does_not_end,
    stopped_kafka,
    stopped_redis,
    one_replica_without_database,
    poison,
    paused_long,
    hung_member,
    hung_member_without_partition,
    lost_replica,
    replica_never_well,
    lost_layer,
    lost_layer_of_one_job,
    slow_database,
    slow_from_the_start,
    slow_but_in_step,
    slow_by_turns,
    paused_then_slow_in_step,
    flapping,
    not_obeying,
    retention_near,
    dead_letters,
    drift,
    near_limits,
]
CALM = [
    nothing_yet,
    compose_start,
    rolling_restart,
    paused_on_purpose,
    replayed_history,
    first_backlog,
    first_backlog_of_a_busy_topic,
    quiet_night,
    nothing_to_do,
    current_on_a_short_topic,
]
DAYS = [slow_burn, stale_audit, never_audited, audited_by_hand, lost_for_a_day, lost_replica_for_hours]


def files(rules):
    """The files for promtool, by name."""
    groups = {"incidents": (INCIDENTS, 30), "calm": (CALM, 30), "days": (DAYS, 240)}
    return {f"{name}.yaml": document([make() for make in tests], seconds, rules) for name, (tests, seconds) in groups.items()}
