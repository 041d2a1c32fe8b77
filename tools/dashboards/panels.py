"""Grafana's JSON from short declarations: a board is rows of panels, a panel is a line or two."""

PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
POSTGRES = {"type": "grafana-postgresql-datasource", "uid": "${postgres}"}
SCHEMA = 41
PLUGIN = "11.6.0"
TAG = "ordervault"

# What is fine, what to look at, what to act on.
FINE, LOOK, ACT, PLAIN = "green", "orange", "red", "blue"


def steps(look=None, act=None, below=False):
    """Thresholds: from `look` on it is worth a look, from `act` on something has to be done. `below` turns them round."""
    if below:
        if act is None:
            return [(None, LOOK), (look, FINE)]
        return [(None, ACT), (act, FINE)] if look is None else [(None, ACT), (act, LOOK), (look, FINE)]
    made = [(None, FINE)]
    if look is not None:
        made.append((look, LOOK))
    if act is not None:
        made.append((act, ACT))
    return made


def promql(expression, legend="", instant=False, table=False):
    """A question to Prometheus."""
    return {
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": " ".join(expression.split()),
        "legendFormat": legend or "__auto",
        "range": not instant,
        "instant": instant,
        "format": "table" if table else "time_series",
    }


LAYERS = ("stg", "dds", "cdm")


def by_layer(expression, legend="{{layer}}"):
    """A question a layer, in the order in which records travel, which is the order in which one reads."""
    return [promql(expression.replace("LAYER", f'layer="{layer}"'), legend) for layer in LAYERS]


def sql(text):
    """A question to PostgreSQL that is answered by a table."""
    return {"datasource": POSTGRES, "editorMode": "code", "format": "table", "rawQuery": True, "rawSql": " ".join(text.split())}


def panel(kind, title, unit, description, targets, width, height, thresholds=None, runbook=None, **more):
    """A panel without its place. `more` goes into the defaults of its fields where they are fields, else into options."""
    colours = thresholds or [(None, PLAIN)]
    defaults = {
        "unit": unit,
        "color": {"mode": "thresholds" if thresholds else "palette-classic"},
        "mappings": mappings(more.pop("words", {})),
        "thresholds": {"mode": "absolute", "steps": [{"color": colour, "value": value} for value, colour in colours]},
    }
    for field in ("min", "max", "decimals", "noValue", "custom", "links"):
        if field in more:
            defaults[field] = more.pop(field)
    overrides = more.pop("overrides", layer_colours(targets))
    transformations = more.pop("transformations", [])
    made = {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": targets[0]["datasource"],
        "gridPos": {"w": width, "h": height},
        "targets": [{**target, "refId": chr(ord("A") + nth)} for nth, target in enumerate(targets)],
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
        "options": more,
        "pluginVersion": PLUGIN,
    }
    if transformations:
        made["transformations"] = transformations
    if runbook:
        made["links"] = [link(f"Runbook: {runbook}", f"${{runbooks}}/{runbook}.md")]
    return made


def link(title, url):
    """A link as boards and panels have it."""
    return {
        "title": title,
        "type": "link",
        "url": url,
        "targetBlank": True,
        "icon": "doc",
        "tooltip": "",
        "tags": [],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
    }


def layer_colours(targets):
    """Lines of a layer have the layer's colour, on every board."""
    if len(targets) != len(LAYERS) or any("{{layer}}" != target.get("legendFormat") for target in targets):
        return []
    return [
        {"matcher": {"id": "byName", "options": layer}, "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}]}
        for layer, colour in zip(LAYERS, ("#5794F2", "#F2CC0C", "#73BF69"))
    ]


def mappings(words):
    """Words in place of values: {0: ("running", FINE)}."""
    if not words:
        return []
    options = {str(value): {"text": text, "color": colour, "index": nth} for nth, (value, (text, colour)) in enumerate(words.items())}
    return [{"type": "value", "options": options}]


def stat(title, unit, description, targets, width=4, height=4, **more):
    """One number, or one for each series, in the colour of its threshold: as it is now. The last one of a range would stand there for
    hours after nobody gives one any more."""
    targets = [{**target, "range": False, "instant": True} if target["datasource"] == PROMETHEUS else target for target in targets]
    more.setdefault("overrides", [])
    values = {"calcs": ["lastNotNull"], "fields": more.pop("fields", ""), "values": False}
    return panel(
        "stat",
        title,
        unit,
        description,
        targets,
        width,
        height,
        **{
            "colorMode": "background",
            "graphMode": "none",
            "justifyMode": "center",
            "orientation": "auto",
            "textMode": "auto",
            "reduceOptions": values,
            **more,
        },
    )


def lines(title, unit, description, targets, width=8, height=7, stacked=False, **more):
    """Lines over time. With thresholds the one that matters is drawn as a line."""
    thresholds = more.pop("thresholds", None)
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 40 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if thresholds else "off"},
        "axisSoftMin": 0,
    }
    calcs = more.pop("calcs", ["lastNotNull", "max"])
    made = panel(
        "timeseries",
        title,
        unit,
        description,
        targets,
        width,
        height,
        thresholds=thresholds or [(None, FINE)],
        custom=custom,
        legend={"displayMode": "table", "placement": "bottom", "calcs": calcs, "showLegend": True},
        tooltip={"mode": "multi", "sort": "desc"},
        **more,
    )
    made["fieldConfig"]["defaults"]["color"] = {"mode": "palette-classic"}
    return made


def states(title, description, targets, width, height, words, **more):
    """States over time, in words and colours."""
    return panel(
        "state-timeline",
        title,
        "none",
        description,
        targets,
        width,
        height,
        thresholds=[(None, FINE)],
        words=words,
        custom={"fillOpacity": 70, "lineWidth": 0},
        mergeValues=True,
        showValue="never",
        rowHeight=0.85,
        alignValue="left",
        legend={"displayMode": "list", "placement": "bottom", "showLegend": False},
        tooltip={"mode": "single", "sort": "none"},
        **more,
    )


def table(title, unit, description, targets, width, height, **more):
    """Rows."""
    return panel(
        "table",
        title,
        unit,
        description,
        targets,
        width,
        height,
        **{"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": ""}, **more},
    )


def bars(title, unit, description, targets, width, height, label, **more):
    """A bar for each row."""
    return panel(
        "barchart",
        title,
        unit,
        description,
        targets,
        width,
        height,
        **{
            "orientation": "horizontal",
            "xField": label,
            "showValue": "always",
            "stacking": "none",
            "barWidth": 0.8,
            "groupWidth": 0.7,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
            "tooltip": {"mode": "single", "sort": "none"},
            **more,
        },
    )


def row(title, *panels):
    """Panels side by side, those that find no room below; a title makes a row of Grafana's of it."""
    return title, panels


def placed(rows):
    """All panels with their places and numbers."""
    made, y, number = [], 0, 1
    for title, panels in rows:
        if title:
            made.append({"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}, "panels": []})
            y, number = y + 1, number + 1
        x = tallest = 0
        for one in panels:
            place = one["gridPos"]
            if x + place["w"] > 24:
                x, y, tallest = 0, y + tallest, 0
            made.append({"id": number, **one, "gridPos": {"x": x, "y": y, **place}})
            x, tallest, number = x + place["w"], max(tallest, place["h"]), number + 1
        y += tallest
    return made


def source(name, label, plugin):
    """A variable that chooses a data source, whatever it is called."""
    return {"name": name, "label": label, "type": "datasource", "query": plugin, "current": {"text": "", "value": ""}, "hide": 0, "includeAll": False, "multi": False, "options": [], "refresh": 1, "regex": ""}


def chosen(name, label, query, description, everything=True, several=False):
    """A variable whose values are a label's."""
    return {
        "name": name,
        "label": label,
        "description": description,
        "type": "query",
        "datasource": PROMETHEUS,
        "query": {"query": query, "refId": "values", "qryType": 1},
        "current": {"text": "All", "value": "$__all"} if everything else {"text": "", "value": ""},
        "includeAll": everything,
        **({"allValue": ".*"} if everything else {}),
        "multi": several,
        "hide": 0,
        "options": [],
        "refresh": 2,
        "regex": "",
        "sort": 3,
    }


RUNBOOKS = {
    "name": "runbooks",
    "label": "Runbooks",
    "description": "Where the runbooks are: a folder or an address.",
    "type": "constant",
    "query": "docs/runbooks",
    "current": {"text": "docs/runbooks", "value": "docs/runbooks"},
    "hide": 2,
    "skipUrlSync": True,
    "options": [],
}
NAMESPACE = chosen(
    "namespace",
    "Namespace",
    "label_values(ordervault_build_info, namespace)",
    "One installation. Without Kubernetes there is none: All.",
)


def marks():
    """What happened, drawn across every panel."""

    def mark(name, expression, colour, title, text):
        return {
            "name": name,
            "datasource": PROMETHEUS,
            "enable": True,
            "hide": False,
            "iconColor": colour,
            "target": {"expr": expression, "interval": "30s", "refId": "mark"},
            "titleFormat": title,
            "textFormat": text,
        }

    return [
        mark("Alerts", 'ALERTS{alertname=~"Ordervault.*", alertstate="firing", namespace=~"$namespace"}', ACT, "{{alertname}}", "{{layer}} {{check}}"),
        mark("Pauses", 'max by (layer, kind) (ordervault_paused{namespace=~"$namespace"}) == 1', LOOK, "paused", "{{layer}}: {{kind}}"),
    ]


def board(uid, title, description, variables, rows, since, refresh):
    """A dashboard."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": f"now-{since}", "to": "now"},
        "timepicker": {},
        "refresh": refresh,
        "fiscalYearStartMonth": 0,
        "annotations": {"list": marks()},
        "templating": {"list": variables},
        "links": [
            {**link("Ordervault", ""), "type": "dashboards", "tags": [TAG], "includeVars": True, "keepTime": True, "targetBlank": False, "icon": "dashboard"},
            link("Runbooks", "${runbooks}/README.md"),
        ],
        "panels": placed(rows),
    }
