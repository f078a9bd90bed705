import functools
import http.server
import threading
from contextlib import contextmanager

import pytest


@pytest.fixture
def serve():
    """`with serve(folder) as (address, asked)`: a web server on a folder, and the paths it was asked for."""

    @contextmanager
    def serving(folder):
        asked = []

        class Quiet(http.server.SimpleHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                super().do_GET()

            def log_message(self, *_):
                pass

        handler = functools.partial(Quiet, directory=str(folder))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
            thread = threading.Thread(target=served.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{served.server_address[1]}", asked
            finally:
                served.shutdown()
                thread.join()

    return serving
