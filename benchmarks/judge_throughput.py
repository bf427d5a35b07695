"""How busy a judge keeps a slow VLM server, and how much sooner it is done than a loop that asks one by one.

    python benchmarks/judge_throughput.py [--sessions 320] [--concurrency 32] [--latency-ms 200] [--size 256]

A server in a process of its own answers every call after a fixed time. The judge asks GA of three turns, each turn
its own call, in a run of `--sessions` sessions with stored images: reading, PNG, base64, HTTP, parsing, journal and
fsync are all counted; edits, sources and the start of the judge are not.
Prints one JSON line: `achieved` is calls per second over concurrency / latency (goal >= 0.95), `speedup` the
throughput over that of the sequential loop, which is timed on a sample (goal >= 25). `cpu_ms_per_call` is what the
judge itself computes; times `concurrency` it must stay well below the latency, or the machine is the bottleneck.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from micebench.cards import TaskCard
from micebench.sessions import ImageFile, Session, Turn

PROMPTS = Path(__file__).resolve().parents[1] / "judges" / "micebench"


def sessions(card: TaskCard, folder: Path | None, *, count: int, size: int) -> Iterator[Session]:
    """Sessions whose images are smooth noise, so that their PNGs weigh what photographs' do."""
    import io

    for number in range(count):
        rough = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        image = Image.fromarray(rough).resize((size, size), Image.Resampling.BICUBIC)
        grain = np.random.default_rng(number).integers(-4, 5, (size, size, 3))
        pixels = np.clip(np.asarray(image, np.int16) + grain, 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
        turns = tuple(Turn(turn, "Make it nicer", "color_alter", "x") for turn in (1, 2, 3))
        yield Session(f"{number:05d}", card.id, "cu", ImageFile("x.png", data=buffer.getvalue()), turns)


def serve(port, latency_s: float) -> None:
    """A minimal keep-alive HTTP/1.1 server that lets every completion take `latency_s`."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = 0
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                start = time.perf_counter()
                body = await reader.readexactly(length) if length else b""
                if head.startswith(b"GET"):
                    answer = {"data": [{"id": "tiny", "max_model_len": 1 << 20}]}
                else:
                    turns = body.count(b"data:image") - 1
                    tags = [f"<turn_{turn}>yes</turn_{turn}> ok" for turn in range(1, turns + 1)]
                    said = "\n".join([*tags, "<final>yes</final>"])
                    answer = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": said}}]}
                    await asyncio.sleep(max(0.0, latency_s - (time.perf_counter() - start)))
                data = json.dumps(answer).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0, limit=1 << 24, backlog=256)
        port.value = server.sockets[0].getsockname()[1]
        await server.serve_forever()

    asyncio.run(main())


class Keeper:
    """An editor that returns its input."""

    batch = 64

    def edit(self, requests):
        return [request.image for request in requests]


def cards(folder: Path, url: str, options: argparse.Namespace, concurrency: int, name: str) -> Path:
    """A task of such sessions and a GA judge that asks the server."""
    task = {
        "id": "bench",
        "description": "sessions to be judged",
        "domain": "photo",
        "adapter": "judge_throughput:sessions",
        "options": {"count": options.sessions, "size": options.size},
        "judge": None,
        "turns": 3,
    }
    judge = {
        "id": name,
        "description": "asks the server",
        "domain": "photo",
        "judge": "protocol",
        "metrics": ["GA"],
        "options": {
            "protocol": "micebench",
            "awareness": {"stop_at_failure": False},
            "vlm": {"kind": "openai", "model": "tiny", "url": url, "concurrency": concurrency},
        },
    }
    place = folder / "judges" / name
    place.mkdir(parents=True)
    for prompt in PROMPTS.glob("prompt_*"):
        shutil.copy(prompt, place)
    (place / "judge.yaml").write_text(yaml.safe_dump(judge))
    (folder / "tasks/bench").mkdir(parents=True, exist_ok=True)
    (folder / "tasks/bench/task.yaml").write_text(yaml.safe_dump(task))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=320)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency-ms", type=float, default=200.0)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--loop-calls", type=int, default=15, help="calls of the sequential loop")
    options = parser.parse_args()

    from micebench.cards import JudgeCard, load_card
    from micebench.engine.evaluate import evaluate, judge
    from micebench.judges.protocols.protocol_judge import PhotoJudge
    from micebench.store.blobs import Blobs
    from micebench.verdicts import Question

    latency_s = options.latency_ms / 1000
    port = multiprocessing.Value("i", 0)
    server = multiprocessing.Process(target=serve, args=(port, latency_s), daemon=True)
    server.start()
    while port.value == 0:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{port.value}/v1"
    folder = Path(tempfile.mkdtemp(prefix="micebench-judging-"))
    try:
        here = cards(folder / "cards", url, options, options.concurrency, "busy")
        run = evaluate("bench", Keeper(), out=folder / "run", cards=[here])
        cpu_s = time.process_time()
        judge(run, "busy", cards=[here])
        cpu_s = time.process_time() - cpu_s
        lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
        busy_s = next(line["seconds"] for line in reversed(lines) if line.get("event") == "verdicts")
        verdicts = list(run_verdicts(run.path))
        calls = len(verdicts)
        assert {verdict.status.value for verdict in verdicts} == {"ok"}

        # The reference loop: one question at a time, each waited for, as the published scripts do.
        alone = PhotoJudge(load_card(JudgeCard, "busy", [here]))
        blobs = Blobs(run.path / "blobs")
        loop_s = sequential(alone, run, blobs, options.loop_calls, Question)
        per_s, loop_per_s = calls / busy_s, options.loop_calls / loop_s
        print(
            json.dumps(
                {
                    "benchmark": "judge_throughput",
                    "achieved": round(per_s / (options.concurrency / latency_s), 4),
                    "speedup": round(per_s / loop_per_s, 2),
                    "cpu_ms_per_call": round(1000 * cpu_s / calls, 2),
                    "calls": calls,
                    "calls_per_s": round(per_s, 1),
                    "loop_calls_per_s": round(loop_per_s, 2),
                    "concurrency": options.concurrency,
                    "latency_ms": options.latency_ms,
                    "image_px": options.size,
                    "cpus": os.cpu_count(),
                    "load": round(os.getloadavg()[0], 1),
                }
            )
        )
    finally:
        server.terminate()
        shutil.rmtree(folder, ignore_errors=True)


def run_verdicts(path: Path):
    from micebench.engine.run_reader import open_run

    return open_run(path).verdicts()


def sequential(judge, run, blobs, calls: int, question) -> float:
    """Seconds for so many calls, one after the other."""
    from micebench.execution.images import StoredImage

    def images(session: Session, turn: int):
        edits = {edit.turn: edit.image for edit in run.edits() if edit.session == session.id}
        source = run.edit_index().sessions.source(run.edit_index().sessions.position[session.id])
        return [
            StoredImage(digest, blobs.get(digest)) for digest in (source, *(edits[t] for t in range(1, turn + 1)))
        ]

    asked = []
    for session in run.sessions():
        asked += [question("GA", session, turn, images(session, turn)) for turn in (1, 2, 3)]
        if len(asked) >= calls:
            break
    start = time.perf_counter()
    for one in asked[:calls]:
        assert judge.judge([one])[0].value is not None
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
