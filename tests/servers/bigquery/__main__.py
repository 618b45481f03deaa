"""python -m servers.bigquery --rest-port P --grpc-port Q (0: any free one; the line printed says which)."""

import argparse
import faulthandler

from . import grpc_server, rest
from .engine import Engine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rest-port", type=int, default=0)
    parser.add_argument("--grpc-port", type=int, default=0)
    arguments = parser.parse_args()
    faulthandler.enable()
    engine = Engine()
    server = rest.serve(engine, arguments.rest_port)
    _storage, grpc_port = grpc_server.serve(engine, arguments.grpc_port)
    print(f"rest {server.server_port} grpc {grpc_port}", flush=True)
    server.serve_forever(poll_interval=0.1)


main()
