"""A local server that drops connections, hangs, ignores ranges or sends wrong data."""

import http.server
import re
import socket
import struct

PIECE = 300_000  # bytes that come before a connection breaks


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers request n as ``server.script[n]`` says, and later requests correctly."""

    def do_GET(self):
        server = self.server
        asked = self.headers.get('Range')
        what = (
            server.script[len(server.asked)] if len(server.asked) < len(server.script) else 'right'
        )
        server.asked.append(asked)
        server.paths.append(self.path)
        if what == 'garbage':
            self.wfile.write(b'this is no HTTP\r\n\r\n')
            return
        if what.isdigit():
            self.send_error(int(what))
            return
        start = int(re.fullmatch(r'bytes=(\d+)-', asked)[1]) if asked and what != 'whole' else 0
        if start >= len(server.body):
            self.send_error(416)
            return
        body = b'x' * len(server.body) if what == 'wrong' else server.body
        self.send_response(206 if start else 200)
        if start:
            told = 0 if what == 'another range' else start
            self.send_header('Content-Range', f'bytes {told}-{len(body) - 1}/{len(body)}')
        if what != 'no length':
            self.send_header('Content-Length', str(len(body) - start))
        self.end_headers()
        if what == 'slow':
            server.slow.wait(20)
        self.wfile.write(
            body[start : start + PIECE]
            if what in ('cut', 'reset', 'silence', 'no length')
            else body[start:]
        )
        if what == 'silence':
            self.wfile.flush()
            server.slow.wait(20)
        if what == 'reset':  # an abrupt end
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            self.connection.close()

    def log_message(self, *_):
        pass


def names(folder):
    """The files in the cache without the lock, which stays."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != '.lock')


def ranges(*starts):
    return [f'bytes={start}-' if start else None for start in starts]
