"""A server in a thread of this process, for tests: there at once, and gone as soon as its block ends.

Here: starting and stopping. Not here: what it answers.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """The base URL, ending in /v1, on a free port of this machine, until the end of the block."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = _PromptServer(uvicorn.Config(app, log_level="critical"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.002)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        server.stop()
        thread.join()
        listening.close()


class _PromptServer(uvicorn.Server):
    """Ends when it is told to: uvicorn's own looks ten times a second whether it is, and waits before it goes."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._is_told = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._is_told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # their server closes them
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        under_way = list(self.server_state.tasks)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self.lifespan.shutdown()

    def stop(self) -> None:
        """From another thread."""
        self._loop.call_soon_threadsafe(self._is_told.set)
