"""The gateway's data path beside nginx: throughput, added latency, and what the durable audit write costs."""
import tempfile
from pathlib import Path

from rig import load, median, quiet_machine, request_bytes, row, section, start_gateway, start_nginx, start_upstream, wrk

ROUNDS = 5
SECONDS = 3
CONNECTIONS = 256
SLOW_UPSTREAM_US = 5000


def interleaved(measures, rounds=ROUNDS):
    """Each measure once a round, in turn: what drifts on the machine drifts for all. name -> values."""
    values = {name: [] for name in measures}
    for _ in range(rounds):
        with quiet_machine():
            for name, measure in measures.items():
                values[name].append(measure())
    return values


def throughput(plain):
    """Requests per second; the ratio is the median of the rounds' ratios."""
    with section() as (folder, children):
        upstream = start_upstream(children)
        gateway, token = start_gateway(folder / "gateway", upstream, plain=plain)
        try:
            scheme = "http" if plain else "https"
            nginx = start_nginx(children, folder, upstream, None if plain else gateway.data_dir / "tls")
            urls = {"gateway": f"{scheme}://127.0.0.1:{gateway.port}", "nginx": f"{scheme}://127.0.0.1:{nginx}"}
            for url in urls.values():
                wrk(folder, url, token, CONNECTIONS, 1)
            values = interleaved({name: lambda url=url: wrk(folder, url, token, CONNECTIONS, SECONDS)
                                  for name, url in urls.items()})
        finally:
            gateway.stop()
    ratio = median([ours / theirs for ours, theirs in zip(values["gateway"], values["nginx"])])
    return median(values["gateway"]), median(values["nginx"]), ratio


def added_latency(rate):
    """Through the proxy minus straight to the upstream, at the same rate, in milliseconds: (p50, p99) each."""
    with section() as (folder, children):
        upstream = start_upstream(children, SLOW_UPSTREAM_US)
        gateway, token = start_gateway(folder / "gateway", upstream)
        try:
            ports = {"direct": upstream, "gateway": gateway.port, "nginx": start_nginx(children, folder, upstream)}
            values = interleaved({name: lambda port=port: load(folder, port, token, rate) for name, port in ports.items()})
        finally:
            gateway.stop()

    def added(name, which):
        return median([through[which] - straight[which]
                       for through, straight in zip(values[name], values["direct"])]) / 1000
    return {name: (added(name, "p50_us"), added(name, "p99_us")) for name in ("gateway", "nginx")}


def durable_write(rate=200):
    """With an upstream that answers at once nothing hides the write: the audit log on the data disk beside one in
    memory. Milliseconds: (p50, p99) of each."""
    memory = Path("/dev/shm")
    with section() as (folder, children), tempfile.TemporaryDirectory(dir=memory, prefix="bulkhead-bench-") as shm:
        upstream = start_upstream(children)
        on_disk, disk_token = start_gateway(folder / "disk", upstream)
        in_memory, memory_token = start_gateway(folder / "memory", upstream, audit_dir=Path(shm) / "audit")
        try:
            values = interleaved({"disk": lambda: load(folder, on_disk.port, disk_token, rate, 2),
                                  "memory": lambda: load(folder, in_memory.port, memory_token, rate, 2)}, 3)
        finally:
            on_disk.stop()
            in_memory.stop()
    return {name: tuple(median([v[which] for v in values[name]]) / 1000 for which in ("p50_us", "p99_us"))
            for name in values}


def run():
    rows = []
    ours, nginx, ratio = throughput(plain=True)
    rows.append(row("gateway: requests a second (peer: nginx, plain proxy)", ours, nginx, "1/s", ">= 1.0 x", ratio >= 1,
                    ratio, 0))
    tls_ours, tls_nginx, tls_ratio = throughput(plain=False)
    rows.append(row("  the same over TLS 1.3 on both", tls_ours, tls_nginx, "1/s", ratio=tls_ratio, digits=0))
    rate = int(ours / 2)
    added = added_latency(rate)
    for name, index, target in (("p50", 0, 0.3), ("p99", 1, 1.0)):
        value = added["gateway"][index]
        rows.append(row(f"  added latency {name} at {rate}/s, 5 ms upstream", value, added["nginx"][index], "ms",
                        f"< {target} ms", value < target, digits=3))
    write = durable_write()
    for name, index in (("p50", 0), ("p99", 1)):
        rows.append(row(f"  durable audit write, not hidden, {name} (peer: audit in memory)", write["disk"][index],
                        write["memory"][index], "ms", digits=3))
    return rows
