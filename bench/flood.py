"""Attackers in a process of their own, over kept connections: so that neither the neighbour's client waits for their
interpreter, nor the figure holds their TLS handshakes. The process yields the processor to everybody (nice 19), since
an attacker is elsewhere in use, and the gateway's own work for it is what is to be measured."""
import http.client
import json
import multiprocessing
import os
import ssl
import threading


class Wire:
    """One kept connection of a person's."""

    def __init__(self, stack, key):
        context = ssl.create_default_context(cafile=stack.ca_file)
        self.connection = http.client.HTTPSConnection("127.0.0.1", stack.port, context=context, timeout=600)
        self.headers = {"Authorization": f"Bearer {key}"}

    def send(self, method, path, body=None):
        """(status, body)"""
        data = None if body is None else json.dumps(body).encode()
        headers = self.headers | ({"Content-Type": "application/json"} if body is not None else {})
        self.connection.request(method, path, body=data, headers=headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


class Flood:
    """`connections` that each send the same request again and again while the block runs. `sent` of them were answered."""

    def __init__(self, stack, key, method, path, body=None, connections=4):
        fork = multiprocessing.get_context("fork")
        self.stopping, self.counts = fork.Event(), fork.Array("q", connections)
        self.process = fork.Process(target=self.work, args=(stack, key, method, path, body, connections), daemon=True)

    def work(self, stack, key, method, path, body, connections):
        os.nice(19)

        def ask(number):
            wire = Wire(stack, key)
            while not self.stopping.is_set():
                wire.send(method, path, body)
                self.counts[number] += 1

        threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    @property
    def sent(self):
        return sum(self.counts)

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.process.join(60)
        if self.process.is_alive():
            self.process.terminate()


def quantiles(times):
    """(p50, p99)"""
    ordered = sorted(times)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
