"""python -m servers.bigquery --rest-port P --grpc-port Q (0: any free one; the line printed says which)."""

import argparse
import threading

from .engine import Engine
from .rest import serve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rest-port", type=int, default=0)
    parser.add_argument("--grpc-port", type=int, default=0)
    arguments = parser.parse_args()
    engine = Engine()
    server = serve(engine, arguments.rest_port)
    grpc_port = 0
    print(f"rest {server.server_port} grpc {grpc_port}", flush=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}).start()


main()
