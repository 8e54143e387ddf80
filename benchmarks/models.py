"""What the models cost: rate by runtime and batch, memory, load and swap.

    python -m benchmarks.models [--models FOLDER] [--json FILE]

Every runtime runs the same committed weights: LiteRT as they are, ONNX Runtime a conversion of them (tf2onnx,
checked for parity), TensorFlow a net of the same architecture, as LiteRT files cannot go back. One thread
each; rates are by CPU time, so that a busy machine disturbs them little.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from benchmarks import report
from serving import cards
from serving.cards import ModelCard
from serving.interpreter import open_card
from serving.objects import FolderStore
from serving.registry import Registry
from serving.signing import Signer, TrustedKeys

BATCHES: Final = (1, 8, 32, 64)
SECONDS: Final = 0.3
PROCESSES: Final = (1, 4)
_SPAWN: Final = multiprocessing.get_context("spawn")
Run = Callable[[NDArray[Any]], NDArray[Any]]


def inputs(card: ModelCard, count: int, seed: int = 1) -> NDArray[Any]:
    """Random inputs of a model: what is in them does not change the work."""
    rng = np.random.default_rng(seed)
    shape = (count, *card.input_shape)
    if card.input_dtype == "uint8":
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return rng.normal(1, 1, shape).astype(np.float32)


def litert(path: Path) -> Run:
    """The runtime alone, one interpreter a batch size."""
    from ai_edge_litert.interpreter import Interpreter

    held: dict[int, tuple[Any, int, int]] = {}

    def run(batch: NDArray[Any]) -> NDArray[Any]:
        if len(batch) not in held:
            interpreter = Interpreter(model_path=str(path), num_threads=1)
            into = interpreter.get_input_details()[0]["index"]
            out = interpreter.get_output_details()[0]["index"]
            interpreter.resize_tensor_input(into, batch.shape)
            interpreter.allocate_tensors()
            held[len(batch)] = interpreter, into, out
        interpreter, into, out = held[len(batch)]
        interpreter.set_tensor(into, batch)
        interpreter.invoke()
        return interpreter.get_tensor(out)

    return run


def onnx(path: Path) -> Run:
    """ONNX Runtime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})[0]


def tensorflow(path: Path) -> Run:
    """A SavedModel's function on one thread."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]
    return lambda batch: next(iter(serve(**{name: tf.constant(batch)}).values())).numpy()


RUNTIMES: Final = {"litert": litert, "onnxruntime": onnx, "tensorflow": tensorflow}


def rate(run: Callable[[NDArray[Any]], object], batch: NDArray[Any], seconds: float = SECONDS) -> float:
    """Examples per second of this process's CPU."""
    run(batch)
    count, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        run(batch)
        count += len(batch)
    return round(count / (time.process_time() - began), 1)


def to_onnx(pairs: list[tuple[Path, Path]]) -> None:
    """LiteRT weights → ONNX, each; imports TensorFlow, so it runs in a process of its own."""
    from local.training.to_onnx import convert

    for weights, out in pairs:
        convert(weights, out)


def to_saved_model(classes: int, out: Path) -> None:
    """The small sound net, new, as SavedModel; in a process of its own."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from local.training import nets

    nets.sound_net(classes).export(str(out), verbose=False)


def in_child(target: Callable[..., Any], *given: Any) -> Any:
    """Call in a fresh process → its result; None if it failed."""
    with _SPAWN.Pool(1) as pool:
        return pool.apply(target, given)


def by_runtime(runtime: str, path: Path, card: ModelCard) -> dict[str, Any]:
    """Rates of one model in one runtime, and what its output is of known inputs."""
    run = RUNTIMES[runtime](path)
    rates = {str(size): rate(run, inputs(card, size)) for size in BATCHES}
    return {"examples_per_core_s": rates, "output": run(inputs(card, 32, seed=7)).tolist()}


def handled(path: Path) -> dict[str, float]:
    """Rates of a model as a worker calls it: verdicts with every class, from interpreters per thread."""
    from serving.handlers import label_scores

    model = open_card(path)
    return {
        str(size): rate(lambda batch: label_scores(model, batch), inputs(model.card, size))
        for size in BATCHES
    }


def memory_kb() -> dict[str, int]:
    """Of this process: resident, and its share where pages are shared (proportional set size)."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    values = {line.split()[0].rstrip(":"): line.split()[1] for line in lines[1:]}
    return {"rss_kb": int(values["Rss"]), "pss_kb": int(values["Pss"])}


def resident(runtime: str, models: list[tuple[Path, ModelCard]], barrier: Barrier, results: Any) -> None:
    """Open and run these models, wait for the others, say what is resident; "": the process alone."""
    began = time.monotonic()
    runs = [(RUNTIMES[runtime](path), card) for path, card in models] if runtime else []
    for run, card in runs:
        run(inputs(card, 64))
    took = time.monotonic() - began
    barrier.wait(120)
    results.put(memory_kb() | {"load_s": round(took, 3)})
    barrier.wait(120)


def of_processes(runtime: str, models: list[tuple[Path, ModelCard]], count: int) -> dict[str, Any]:
    """Memory and load time of `count` processes with the same models at once."""
    barrier, results = _SPAWN.Barrier(count), _SPAWN.Queue()
    processes = [
        _SPAWN.Process(target=resident, args=(runtime, models, barrier, results)) for _ in range(count)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=180) for _ in processes]
    for process in processes:
        process.join()
    return {
        "pss_mb": round(sum(one["pss_kb"] for one in found) / 1024, 1),
        "rss_mb": round(sum(one["rss_kb"] for one in found) / 1024, 1),
        "load_s": max(one["load_s"] for one in found),
    }


def swap(card_path: Path, folder: Path) -> dict[str, float]:
    """A worker that swaps one version for another of the same size: memory before, at most, after; time."""
    from serving.live import LiveModel, ModelSource

    card, weights = cards.load(card_path)
    signer = Signer(Ed25519PrivateKey.generate())
    registry = Registry(FolderStore(folder / "registry"), TrustedKeys.parse(signer.public_pem))
    source = ModelSource(
        registry=str(folder / "registry"), trusted_pem=signer.public_pem, cache=str(folder / "cache")
    )
    for version in ("1", "2"):
        name = f"{card.line}-{version}{Path(card.weights).suffix}"
        # Other bytes, same model: the flat buffer ends before them.
        bytes_ = weights + b"\0" * int(version)
        told = {"version": version, "weights": name, "weights_bytes": len(bytes_)}
        told["weights_sha256"] = hashlib.sha256(bytes_).hexdigest()
        registry.publish(card.model_copy(update=told), bytes_, signer, by="benchmark")
    registry.move(f"{card.line}-1", "fleet", signer, by="benchmark")
    model = LiveModel(source, card.family, card.tier, start=False)
    block = inputs(card, 64)
    assert model.current
    model.current.probabilities(block)
    before = memory_kb()["rss_kb"]
    registry.move(f"{card.line}-2", "shadow", signer, by="benchmark")
    registry.move(f"{card.line}-2", "fleet", signer, by="benchmark")
    most, stop = [before], threading.Event()

    def watch() -> None:
        while not stop.wait(0.002):
            most.append(memory_kb()["rss_kb"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    model.refresh()
    took = time.monotonic() - began
    model.current.probabilities(block)
    stop.set()
    watcher.join()
    return {
        "before_mb": round(before / 1024, 1),
        "most_mb": round(max(most) / 1024, 1),
        "after_mb": round(memory_kb()["rss_kb"] / 1024, 1),
        "swap_s": round(took, 3),
    }


def measure(folder: Path) -> dict[str, Any]:
    """Everything, of the newest model of each line in a folder."""
    newest = {cards.read_card(path).line: path for path in cards.cards(folder)}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        paths: dict[str, list[tuple[Path, ModelCard]]] = {"litert": [], "onnxruntime": []}
        sources = {path: path.with_name(cards.read_card(path).weights) for path in newest.values()}
        onnx_of = {path: Path(scratch) / f"{path.stem}.onnx" for path in newest.values()}
        in_child(to_onnx, [(sources[path], onnx_of[path]) for path in newest.values()])
        for path in newest.values():
            card, weights, converted = cards.read_card(path), sources[path], onnx_of[path]
            paths["litert"].append((weights, card))
            paths["onnxruntime"].append((converted, card))
            files = {"litert": weights, "onnxruntime": converted}
            one = {name: in_child(by_runtime, name, file, card) for name, file in files.items()}
            outputs = [np.array(one[name].pop("output")) for name in files]
            one["parity_onnxruntime"] = float(np.abs(outputs[0] - outputs[1]).max())
            one["as_a_worker_calls_it"] = {"examples_per_core_s": in_child(handled, path)}
            if card.line == "sound":
                saved = Path(scratch) / "saved"
                in_child(to_saved_model, len(card.classes), saved)
                one["tensorflow"] = in_child(by_runtime, "tensorflow", saved, card)
                del one["tensorflow"]["output"]
                paths["tensorflow"] = [(saved, card)]
            found[card.model_version] = one
        memory = {
            name or "no runtime": {
                str(n): of_processes(name, models, n)
                for n in (PROCESSES if name != "tensorflow" else PROCESSES[:1])
            }
            for name, models in (("", []), *paths.items())
        }
        result: dict[str, Any] = {"models": found, "memory_of_all_models": memory}
        largest = newest.get("sound_large", newest["sound"])
        result["swap"] = {cards.read_card(largest).model_version: in_child(swap, largest, Path(scratch))}
    return result


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=cards.WEIGHTS, help="folder of cards and weights")
    parser.add_argument("--json", type=Path, help="also write the result there")
    options = parser.parse_args(arguments)
    load = report.load_1min()
    figures = measure(options.models)
    document = report.document("models", figures, [], load)
    print(json.dumps(document, indent=1))
    if options.json:
        report.write(options.json, document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
