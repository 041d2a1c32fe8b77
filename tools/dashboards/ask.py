"""Asks a running Prometheus, and PostgreSQL by psql, what a panel asks."""

import csv
import io
import json
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

VARIABLE = re.compile(r"\$\{?(\w+)(?::\w+)?\}?")
STEP = 5


class Refused(Exception):
    """A question that was answered by an error."""


def panels(board):
    """Every panel that asks something."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def filled(text, values):
    """A query with Grafana's variables filled in; one that nobody declared is an error."""

    def value(match):
        if match[1] not in values:
            raise Refused(f"variable {match[0]} is not declared")
        return values[match[1]]

    return VARIABLE.sub(value, text)


def variables(board, layer="cdm", rate="30s", span="5m"):
    """The values of a board's variables: one layer, everything else."""
    declared = {variable["name"]: ".*" for variable in board["templating"]["list"]}
    declared["runbooks"] = "docs/runbooks"
    if "layer" in declared:
        declared["layer"] = layer
    return {**declared, "__rate_interval": rate, "__interval": f"{STEP}s", "__range": span}


class Prometheus:
    """Its HTTP API."""

    def __init__(self, url):
        self.url = url.rstrip("/")

    def get(self, path, **parameters):
        query = urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise Refused(json.load(error).get("error", str(error))) from error
        except urllib.error.URLError as error:
            raise Refused(f"{self.url}: {error.reason}") from error

    def over_time(self, expression, seconds=300):
        """Series with their samples that are numbers."""
        now = time.time()
        found = self.get("query_range", query=expression, start=now - seconds, end=now, step=STEP)["result"]
        series = [(one["metric"], [(float(at), float(value)) for at, value in one["values"] if value != "NaN"]) for one in found]
        return [(labels, samples) for labels, samples in series if samples]

    def now(self, expression):
        """Series with the value that they have now."""
        found = self.get("query", query=expression)["result"]
        return [(one["metric"], [(float(one["value"][0]), float(one["value"][1]))]) for one in found]

    def values(self, query):
        """What label_values(…) of a variable answers."""
        match = re.fullmatch(r"label_values\((.+),\s*(\w+)\)", query)
        if not match:
            raise Refused(f"not understood: {query}")
        return self.get(f"label/{match[2]}/values", **{"match[]": match[1]})


def rows(dsn, statement):
    """The rows of a statement, the names first."""
    asked = subprocess.run(
        ["psql", "-X", "--csv", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-c", statement], capture_output=True, text=True, check=False
    )
    if asked.returncode:
        raise Refused(asked.stderr.strip())
    return list(csv.reader(io.StringIO(asked.stdout)))
