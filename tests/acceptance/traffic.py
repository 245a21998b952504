"""Work that goes on while something is done to the place where it is kept."""
import threading

import httpx
from openai import OpenAI


def steps(ask, most, chosen):
    """A seeded number of somebody's requests who is elsewhere: a moment that the test chooses. Each is answered."""
    for _ in range(chosen.randrange(most)):
        assert ask().status == 200


class Traffic:
    """The unmodified SDK, uploading, reading, deleting and attaching without a pause."""

    def __init__(self, tenant, threads=3):
        stack = tenant.member.stack
        self.client = OpenAI(base_url=stack.base_url + "/v1", api_key=tenant.member.key, max_retries=0, timeout=60,
                             http_client=httpx.Client(verify=str(stack.ca_file), trust_env=False))
        self.store, self.kept, self.deleted, self.failed = tenant.store, {}, [], []
        self.stop, self.outage_is_fine = threading.Event(), False
        self.threads = [threading.Thread(target=self.work, args=(n,)) for n in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def work(self, number):
        count = 0
        while not self.stop.is_set():
            count += 1
            text = f"Page {number}-{count} of the quixotic log."
            try:
                made = self.client.files.create(file=(f"{number}-{count}.txt", text.encode()), purpose="assistants")
                self.kept[made.id] = text
                assert self.client.files.content(made.id).read().decode() == text
                if count % 4 == 0:
                    self.client.vector_stores.files.create(self.store, file_id=made.id)
                if count % 3 == 0:
                    gone = made.id
                    del self.kept[gone]  # from here on it may be either
                    self.client.files.delete(gone)
                    self.deleted.append(gone)
            except Exception as error:  # noqa: BLE001
                if not self.outage_is_fine:
                    self.failed.append(error)
                    return
                self.stop.wait(0.05)  # between tries, until the outage is over

    def check(self):
        """Every acknowledged write is there, every acknowledged deletion holds."""
        assert not self.failed, self.failed
        assert len(self.kept) > 3
        for file, text in self.kept.items():
            assert self.client.files.content(file).read().decode() == text
        present = {file.id for file in self.client.files.list(limit=100)}
        assert not present & set(self.deleted)
        assert set(self.kept) <= present
