"""A small disk for the audit log that can be filled to its end and emptied again."""
import ctypes
import os

import pytest

MIB = 1 << 20


class SmallDisk:
    """A tmpfs of one mebibyte, mounted for as long as it is used."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder, self.ballast = folder, folder / "ballast"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, b"size=1m,mode=0700") != 0:
            pytest.skip(f"needs the right to mount: {os.strerror(ctypes.get_errno())}")
        self.libc = libc

    def section(self, **more):
        """The [audit] section of a gateway that logs here, with the least reserve that there can be."""
        options = {"reserve_bytes": 65536, **more}
        return f'[audit]\ndir = "{self.folder}"\n' + "".join(f"{k} = {str(v).lower()}\n" for k, v in options.items())

    def fill(self):
        with open(self.ballast, "ab", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass

    def empty(self):
        self.ballast.unlink(missing_ok=True)

    def unmount(self):
        self.libc.umount2(str(self.folder).encode(), 2)  # MNT_DETACH


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    made = []

    def make():
        made.append(SmallDisk(tmp_path_factory.mktemp("disk") / "audit"))
        return made[-1]

    yield make
    for disk in made:
        disk.unmount()
