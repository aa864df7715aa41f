"""A callout in Python that decides nothing, in the pattern of Google's samples: grpcio, a thread pool, a generator for
each stream. `python noop.py PORT`.

It does not even parse what it is asked, but looks at the first byte: what it costs is the least that it can.
"""

import sys
from concurrent import futures

import grpc

REQUEST_HEADERS = 0x12  # field 2


def field(number, content):
    """A field of bytes, as Protocol Buffers have it."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number):
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def mutation(*headers):
    return b"".join(field(1, field(1, field(1, key) + field(3, value))) for key, value in headers)


SESSION = (b"set-cookie", b"s" * 290)
REDIRECT = field(7, field(1, b"\x08\xae\x02") + field(2, mutation((b"location", b"l" * 170), SESSION, (b"cache-control", b"no-store"))))
GO_ON = field(1, field(1, field(2, mutation((b"x-velvetrope-verdict", b"session;room=shop10")))))
COME_BACK = field(2, field(1, field(2, mutation(SESSION))))


def process(questions, _context):
    for question in questions:
        if question[0] != REQUEST_HEADERS:
            yield COME_BACK
        elif b"cookie" in question:
            yield GO_ON
        else:
            yield REDIRECT
            return


def main(port):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    handlers = {"Process": grpc.stream_stream_rpc_method_handler(process)}
    service = "envoy.service.ext_proc.v3.ExternalProcessor"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


main(sys.argv[1])
