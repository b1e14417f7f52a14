"""A line in user space: TCP to a port of this machine, later and slower.

Bytes leave `delay` seconds after they came, each way, and all connections together get `rate` bytes a second each way.
Nothing is lost and nothing is reordered: what limits a stream is what its programs keep in flight, as on a clean line.

    python3 line.py LISTEN_PORT TARGET_PORT ROUND_TRIP_SECONDS [BYTES_PER_SECOND [COUNTS]]

Into the file COUNTS goes, ten times a second, when it is and how many bytes have come back over the line by then.
"""

import asyncio
import sys
import time

CHUNK = 64 * 1024
# What one connection may have in flight: more than any line here needs, so that the line is the limit, not this.
IN_FLIGHT = 64 * 1024 * 1024


class Pipe:
    """One direction of the line, shared by all connections."""

    def __init__(self, rate):
        self.rate = rate
        self.free_at = 0.0
        self.carried = 0

    def departs(self, size):
        """When these bytes have left the sender's end."""
        now = time.monotonic()
        self.carried += size
        self.free_at = max(self.free_at, now) + (size / self.rate if self.rate else 0)
        return self.free_at


async def carry(reader, writer, pipe, delay):
    queue = asyncio.Queue()
    room = asyncio.Semaphore(IN_FLIGHT // CHUNK)

    async def take():
        while True:
            await room.acquire()
            data = await reader.read(CHUNK)
            departs = pipe.departs(len(data))
            queue.put_nowait((departs + delay, data))
            # A sender is told to wait while the line is full, as by a router with a buffer of 50 ms.
            if (ahead := departs - time.monotonic()) > 0.05:
                await asyncio.sleep(ahead - 0.05)
            if not data:
                return

    taking = asyncio.create_task(take())
    try:
        while True:
            arrives, data = await queue.get()
            if (wait := arrives - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            if not data:
                break
            writer.write(data)
            room.release()
            await writer.drain()
    except OSError:
        pass
    finally:
        taking.cancel()
        writer.close()


async def count(pipe, counts):
    with open(counts, "w", buffering=1) as file:
        while True:
            file.write(f"{time.monotonic()} {pipe.carried}\n")
            await asyncio.sleep(0.1)


async def main(listen, target, round_trip, rate, counts):
    there, back = Pipe(rate), Pipe(rate)
    # A task that nobody holds may be collected.
    counting = counts and asyncio.create_task(count(back, counts))

    async def connect(reader, writer):
        await asyncio.sleep(round_trip / 2)
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(
            carry(reader, other_writer, there, round_trip / 2),
            carry(other_reader, writer, back, round_trip / 2),
        )

    server = await asyncio.start_server(connect, "127.0.0.1", listen, limit=CHUNK)
    await server.serve_forever()
    await counting


if __name__ == "__main__":
    listen, target, round_trip, *more = sys.argv[1:]
    rate, counts = [*more, None, None][:2]
    asyncio.run(main(int(listen), int(target), float(round_trip), float(rate or 0), counts))
