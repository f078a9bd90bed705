"""A small server on loopback that speaks the few endpoints of the Hugging Face Hub that `push` and `pull` use."""

import base64
import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_test"


class SmallHub:
    """Repositories in memory: name to commits, each `(oid, {path: bytes})`; and the requests that came in."""

    def __init__(self):
        self.repositories, self.requests = {}, []

    def commit(self, name, files):
        commits = self.repositories[name]
        everything = (commits[-1][1] if commits else {}) | files
        oid = hashlib.sha1(json.dumps([name, len(commits), sorted(everything)]).encode()).hexdigest()
        commits.append((oid, everything))
        return oid

    def at(self, name, revision):
        """The commit of a revision, None where there is none."""
        commits = self.repositories.get(name) or [("", {})]
        if revision in ("main", commits[-1][0]):
            return commits[-1]
        return next((commit for commit in commits if commit[0] == revision), None)


@contextlib.contextmanager
def serving(hub):
    """Serve a hub; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, status, body=b"", **headers):
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            path = unquote(urlsplit(self.path).path)
            hub.requests.append(f"{self.command} {path}")
            parts = path.strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                name, revision = "/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main"
                self.describe(name, revision, tree=parts[4:5] == ["tree"])
            elif parts[2:3] == ["resolve"]:
                self.file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
            else:
                self.answer(404)

        def describe(self, name, revision, tree):
            commit = hub.at(name, revision)
            if name not in hub.repositories:
                self.answer(404, X_Error_Code="RepoNotFound")
            elif commit is None:
                self.answer(404, X_Error_Code="RevisionNotFound")
            elif tree:
                files = [
                    {
                        "type": "file",
                        "path": path,
                        "size": len(content),
                        "oid": hashlib.sha1(content).hexdigest(),
                    }
                    for path, content in commit[1].items()
                ]
                self.answer(200, files)
            else:
                siblings = [{"rfilename": path} for path in commit[1]]
                self.answer(200, {"id": name, "sha": commit[0], "siblings": siblings, "private": False})

        def file(self, name, revision, path):
            commit = hub.at(name, revision)
            if name not in hub.repositories or commit is None or path not in commit[1]:
                self.answer(404, X_Error_Code="EntryNotFound")
                return
            content = commit[1][path]
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            self.answer(200, content, ETag=etag, X_Repo_Commit=commit[0], Accept_Ranges="bytes")

        def do_POST(self):
            path = unquote(urlsplit(self.path).path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            hub.requests.append(f"POST {path}")
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.answer(401, {"error": "Invalid username or password."})
            elif path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked.get('organization', 'ann')}/{asked['name']}"
                if not name.startswith("ann/"):
                    self.answer(403, {"error": "You have no right to write there."})
                    return
                known = name in hub.repositories
                hub.repositories.setdefault(name, [])
                self.answer(
                    409 if known else 200, {"url": f"http://{self.headers['Host']}/{name}", "name": name}
                )
            elif path == "/api/validate-yaml":
                self.answer(200, {"errors": [], "warnings": []})
            elif "/preupload/" in path:
                files = [
                    {"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]
                ]
                self.answer(200, {"files": [file | {"shouldIgnore": False} for file in files]})
            elif "/commit/" in path:
                lines = [json.loads(line) for line in body.splitlines()]
                files = {
                    line["value"]["path"]: base64.b64decode(line["value"]["content"])
                    for line in lines
                    if line["key"] == "file"
                }
                name = "/".join(path.split("/")[3:5])
                oid = hub.commit(name, files)
                url = f"http://{self.headers['Host']}/{name}/commit/{oid}"
                self.answer(200, {"commitUrl": url, "commitOid": oid, "success": True})
            else:
                self.answer(404)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
