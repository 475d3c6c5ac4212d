from __future__ import annotations

import hashlib
import http.server
import os
import socket
import threading
import time

import pytest

from mmlib.data import store
from mmlib.data.store import DataDamagedError, DataNotFoundError, File


def file_of(content: bytes, path: str = "set/a", **options) -> File:
    return File(path, len(content), hashlib.md5(content).hexdigest(), **options)


def put(root, file: File, content: bytes) -> None:
    (root / file.path).parent.mkdir(parents=True, exist_ok=True)
    (root / file.path).write_bytes(content)


@pytest.fixture
def server():
    """A server on this machine that answers every address with ten bytes; gives its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404 if "missing" in self.path else 200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"0123456789")

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def online(nowhere, monkeypatch):
    monkeypatch.setenv("MMLIB_OFFLINE", "0")
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_roots(nowhere, monkeypatch):
    assert store.roots() == [nowhere, store.cache_root()]
    monkeypatch.setenv("MMLIB_DATA", "")
    assert store.roots() == [store.cache_root()]


def test_a_missing_folder_is_an_error_that_names_it(nowhere, monkeypatch):
    monkeypatch.setenv("MMLIB_DATA", str(nowhere / "no"))
    with pytest.raises(DataNotFoundError, match="MMLIB_DATA is set to .*no'"):
        store.roots()
    (nowhere / "no").write_text("a file is not a folder")
    with pytest.raises(DataNotFoundError, match="not a folder"):
        store.roots()


def test_locate_prefers_the_named_folder(nowhere):
    file = file_of(b"abc")
    assert store.locate("Toy", [file]) is None
    put(store.cache_root(), file, b"abc")
    assert store.locate("Toy", [file]) == store.cache_root()
    put(nowhere, file, b"abc")
    assert store.locate("Toy", [file]) == nowhere


def test_half_a_set_in_the_named_folder_is_an_error(nowhere):
    files = [file_of(b"abc"), file_of(b"def", "set/b")]
    put(nowhere, files[0], b"abc")
    with pytest.raises(DataDamagedError, match="Toy in .* is incomplete: set/b missing"):
        store.locate("Toy", files)


def test_half_a_set_in_the_cache_is_an_unfinished_download(nowhere):
    files = [file_of(b"abc"), file_of(b"def", "set/b")]
    put(store.cache_root(), files[0], b"abc")
    assert store.locate("Toy", files) is None


@pytest.mark.parametrize("content", [b"", b"ab", b"abd", b"abcd"])
def test_a_damaged_file_is_named(nowhere, content):
    file = file_of(b"abc")
    put(nowhere, file, content)
    with pytest.raises(DataDamagedError, match="set/a: the file is truncated or altered.*3 bytes"):
        store.verify(nowhere, file)


def test_a_folder_or_nothing_in_place_of_a_file(nowhere):
    file = file_of(b"abc")
    with pytest.raises(DataDamagedError, match="set/a: cannot be read"):
        store.verify(nowhere, file)
    (nowhere / file.path).mkdir(parents=True)
    with pytest.raises(DataDamagedError, match="set/a: cannot be read"):
        store.verify(nowhere, file)


def test_a_file_without_published_sum_needs_its_size(nowhere):
    file = File("set/a", 3, None)
    put(nowhere, file, b"abc")
    assert store.verify(nowhere, file) == hashlib.md5(b"abc").hexdigest()
    put(nowhere, file, b"ab")
    with pytest.raises(DataDamagedError, match="not published"):
        store.verify(nowhere, file)


def test_line_ends_of_a_text_file_do_not_matter(nowhere):
    text = b"1,2\n3,4"
    file = file_of(b"1,2\r\n3,4\r\n", text_md5=hashlib.md5(text).hexdigest())
    for content in (b"1,2\r\n3,4\r\n", b"1,2\n3,4\n", text):
        put(nowhere, file, content)
        store.verify(nowhere, file)
    put(nowhere, file, b"1,2\n3,5\n")
    with pytest.raises(DataDamagedError):
        store.verify(nowhere, file)


def test_sums_are_computed_once_but_a_change_is_seen(nowhere, monkeypatch):
    file = file_of(b"abc")
    put(nowhere, file, b"abc")
    path = nowhere / file.path
    store.md5(path)
    monkeypatch.setattr(store.hashlib, "md5", None)
    store.md5(path)
    monkeypatch.undo()
    put(nowhere, file, b"abd")
    os.utime(path, ns=(1, 1))
    assert store.md5(path) == hashlib.md5(b"abd").hexdigest()


def test_offline_asks_nobody(nowhere):
    assert store.fetch("http://127.0.0.1:9", (), lambda root: None) == "MMLIB_OFFLINE is set"


def test_a_download_reaches_the_cache(online, server):
    file = file_of(b"0123456789")
    assert store.fetch(server, (file,), lambda root: put(root, file, b"0123456789")) == ""
    assert (store.cache_root() / file.path).read_bytes() == b"0123456789"
    assert [p.name for p in store.cache_root().iterdir()] == ["set"]


@pytest.mark.parametrize("content", [b"01234", None])
def test_a_bad_download_leaves_nothing(online, server, content):
    file = file_of(b"0123456789")

    def download(root):
        if content is None:
            raise OSError("cut off")
        put(root, file, content)

    reason = store.fetch(server, (file,), download)
    assert "truncated" in reason or "cut off" in reason
    assert list(store.cache_root().iterdir()) == []
    assert socket.getdefaulttimeout() is None


def test_a_refusal_is_remembered_for_a_while(online, server, monkeypatch):
    asked = []
    monkeypatch.setattr(store, "_probe", lambda url: asked.append(url) or "no route")
    for _ in range(2):
        assert store.fetch(server, (), lambda root: None) == "no route"
    assert len(asked) == 1
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.0)
    store.fetch(server, (), lambda root: None)
    assert len(asked) == 2


def test_probe(online, server):
    assert store._probe(server) == ""
    assert "Not Found" in store._probe(f"{server}/missing")
    assert store._probe("http://127.0.0.1:9") != ""


def test_a_silent_network_is_given_up_soon(online, monkeypatch):
    monkeypatch.setattr(store, "PROBE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        reason = store._probe(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert reason and time.monotonic() - began < 2


def test_an_unwritable_cache_is_a_reason_not_a_crash(online, server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert store.fetch(server, (), lambda root: None) != ""
