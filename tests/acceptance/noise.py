"""An attack that goes on while a neighbour is served. Judged by the order of what ends, never by time."""
import threading


class Attack:
    """`attackers` threads that do `act(number)` again and again until the block ends; what each gave is kept in
    the order of ending."""

    def __init__(self, act, attackers):
        self.act, self.ended, self.stop = act, [], threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(n,), daemon=True) for n in range(attackers)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def work(self, number):
        while not self.stop.is_set():
            self.ended.append(self.act(number))


def attacks_meanwhile(attack, serve, requests):
    """How many acts of the attack ended while the neighbour was served `requests` times, one after the other."""
    before = len(attack.ended)
    for number in range(requests):
        serve(number)
    return len(attack.ended) - before


def metric(stack, name):
    """The sum of a metric's samples."""
    answer = stack.call("GET", "/metrics", stack.operator_key)
    assert answer.status == 200, answer.body
    return sum(float(line.rsplit(" ", 1)[1]) for line in answer.body.decode().splitlines()
               if line.startswith(name) and line[len(name)] in " {")
