"""What a server says of itself: live, ready, metadata, config, index, statistics; and the methods that would change it."""

import time

from session import PATIENCE_S, vectors


def server_live(session):
    return session.client.is_server_live()


def server_ready(session):
    return session.client.is_server_ready()


def model_ready(session):
    return {name: session.client.is_model_ready(name) for name in ("add_sub", "echo", "llm_stream")}


def unknown_model_ready(session):
    return session.client.is_model_ready("no_such_model")


def server_metadata(session):
    return session.client.get_server_metadata(as_json=True)


def model_metadata(session):
    return session.client.get_model_metadata("llm_stream", as_json=True)


def model_config(session):
    return session.client.get_model_config("add_sub", as_json=True)


def unknown_model_metadata(session):
    return session.client.get_model_metadata("no_such_model", as_json=True)


def repository_index(session):
    models = session.client.get_model_repository_index(as_json=True)["models"]
    return sorted(models, key=lambda model: model["name"])


def statistics(session):
    """The shape of the statistics, and by how much three calls move them. A first call makes every group of counters appear."""

    def read():
        return session.client.get_inference_statistics("add_sub", as_json=True)["model_stats"]

    def ask():
        session.client.infer("add_sub", vectors([1, 1, 1, 1], [1, 1, 1, 1]))

    def read_until(settled):
        """Triton counts a call only some time after its answer has left."""
        last, until = read(), time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            time.sleep(0.2)
            rows = read()
            if settled(last, rows):
                break
            last = rows
        return rows

    ask()
    before = read_until(lambda last, rows: last == rows)
    for _ in range(3):
        ask()
    after = read_until(lambda _, rows: success_count(rows) >= success_count(before) + 3)
    all_models = session.client.get_inference_statistics(as_json=True)["model_stats"]
    return {
        "shape": shape(after[0]),
        "rows": len(after),
        "all models": sorted(row["name"] for row in all_models),
        "inferences": int(after[0]["inference_count"]) - int(before[0]["inference_count"]),
        "successes": success_count(after) - success_count(before),
    }


def success_count(rows):
    return int(rows[0]["inference_stats"]["success"]["count"])


def shape(value):
    if isinstance(value, dict):
        return {key: shape(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def load_model(session):
    return session.client.load_model("echo")


def unload_model(session):
    return session.client.unload_model("echo")
