"""The recorder of one feed: an output for its events and a tap for its frames.

::

    recorder = Recorder(root, "cryptomus", policy, on_error=…)
    recorder.open()                # lock, adopt what an earlier run left; blocks
    stream = Stream([recorder]); open_feed(…, stream, tap=recorder.tap)
    recorder.tick(now)             # every second: quiet segments end too
    recorder.close()               # blocks until everything is on disk

Lines reach the operating system with the read that brought them. Syncing runs on one thread,
closing on another, so that neither a slow disk nor a compression delays the other.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from wsfeeds.clock import Clock
from wsfeeds.errors import OutputFailed
from wsfeeds.events import Event, Gap, encoder
from wsfeeds.outputs.recorder_adoption import Adoption
from wsfeeds.outputs.recorder_closing import Finished, Step, close_segment, sync_and_close
from wsfeeds.outputs.recorder_files import feed_folder, stamp, sync_folder
from wsfeeds.outputs.recorder_frames import FrameTap
from wsfeeds.outputs.recorder_lock import FeedLock
from wsfeeds.outputs.recorder_manifest import Manifest
from wsfeeds.outputs.recorder_track import BUFFER, Policy, Segment, Track, failure
from wsfeeds.secrets import Redactor

_RUN_BYTES = 4


def _no_step(name: str) -> None:
    del name


def new_run(now: int) -> str:
    """Return the id of a run: when it began, and eight random hexadecimal digits."""
    return f"{stamp(now)}-{secrets.token_hex(_RUN_BYTES)}"


class Recorder:
    """Records one feed below one folder; see the module."""

    def __init__(
        self,
        root: Path,
        feed: str,
        policy: Policy,
        *,
        on_error: Callable[[OutputFailed], None],
        on_closed: Callable[[Path], None] | None = None,
        say: Callable[[str], None] | None = None,
        redactor: Redactor | None = None,
        step: Step = _no_step,
    ) -> None:
        """Prepare; nothing is touched before `open`.

        Args:
            root: The recording's folder.
            feed: The feed's module name.
            policy: Rotation, compression, fsync, capture.
            on_error: Called from any thread when something cannot be written.
            on_closed: Called from a thread with the path of each closed segment.
            say: Takes a line for people about what an earlier run left behind.
            redactor: Knows what must not stand in a recorded frame.
            step: Told each step of closing a segment before it is taken.
        """
        self.feed = feed
        self.root = root
        self.run = new_run(Clock().now())
        self.previous_recv_ts: int | None = None
        """When an earlier run received its last frame here; see `Adoption.adopt`."""
        self.segments = 0
        self.last: Event | None = None
        self.gaps = 0
        self._policy = policy
        self._on_error = on_error
        self._on_closed = on_closed
        self._say = say or (lambda _: None)
        self._step = step
        self._lock = FeedLock(root, feed)
        self._manifest = Manifest(root)
        self._syncing = ThreadPoolExecutor(1, f"sync {feed}")
        self._closing = ThreadPoolExecutor(1, f"close {feed}")
        self._broken: OutputFailed | None = None
        self._stop_syncing = threading.Event()
        self._syncer: threading.Thread | None = None
        wants = policy.capture
        self._events = self._track("events") if wants in {"events", "both"} else None
        self._frames = self._track("frames") if wants in {"frames", "both"} else None
        self.tap = (
            None
            if self._frames is None
            else FrameTap(self._frames, self.run, redactor or Redactor())
        )
        self._tracks = [track for track in (self._frames, self._events) if track is not None]

    def _track(self, kind: str) -> Track:
        return Track(
            self.root,
            self.feed,
            "events" if kind == "events" else "frames",
            self.run,
            self._policy,
            finish=self._finish,
        )

    def open(self) -> None:
        """Create the folder, lock the feed and close what an earlier run left open.

        Raises:
            UsageError: Another recorder writes this feed here.
            OutputFailed: Something cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            adoption = Adoption(
                self.root,
                self.feed,
                compression=self._policy.compress,
                last_run=self._lock.last_run(),
                new_run=new_run,
                say=self._say,
                step=self._step,
            )
            self.previous_recv_ts = adoption.adopt()
            self._lock.name(self.run)
            sync_folder(self.root)
            sync_folder(feed_folder(self.root, self.feed))
        except OSError as error:
            self._lock.release()
            raise failure(error, Path(error.filename or self.root)) from error
        if isinstance(self._policy.fsync, float):
            self._syncer = threading.Thread(
                target=self._sync_regularly,
                args=(self._policy.fsync,),
                name=f"fsync {self.feed}",
                daemon=True,
            )
            self._syncer.start()

    # --- the hot path

    def emit(self, event: Event) -> None:
        """Append the event's line; see `wsfeeds.pipeline.Output`."""
        self.last = event
        if event.__class__ is Gap:
            self.gaps += 1
        track = self._events
        if track is None:
            return
        recv_ts = event.recv_ts
        if recv_ts >= track.limit:
            track.begin(recv_ts, event.seq)
        buffer = track.buffer
        buffer += encoder.encode(event)
        buffer.append(10)
        track.lines += 1
        track.last_recv_ts = recv_ts
        if event.__class__ is Gap:
            track.gaps += 1
        if len(buffer) >= BUFFER:
            track.write()

    def emit_all(self, events: Sequence[Event]) -> None:
        """Append the lines of data events that one read has brought."""
        self.last = events[-1]
        track = self._events
        if track is None:
            return
        recv_ts = events[0].recv_ts
        if recv_ts >= track.limit:
            track.begin(recv_ts, events[0].seq)
        track.buffer += encoder.encode_lines(events)
        track.lines += len(events)
        track.last_recv_ts = recv_ts
        if len(track.buffer) >= BUFFER:
            track.write()

    def flush(self) -> None:
        """Write what the read brought: frames first, so that no event lacks its frame."""
        for track in self._tracks:
            track.flush()

    # --- beside it

    @property
    def written(self) -> int:
        """Bytes written so far, before compression."""
        return sum(track.written for track in self._tracks)

    @property
    def open_segment(self) -> Path | None:
        """The segment that events, or else frames, go to now."""
        open_ones = [each.segment for each in reversed(self._tracks) if each.segment is not None]
        return open_ones[0].path if open_ones else None

    def tick(self, now: int) -> None:
        """Write what waits, and end segments whose time is over though nothing more has come.

        Raises:
            OutputFailed: Something cannot be written, or a segment has vanished.
        """
        self._raise_failure()
        self.flush()
        for track in self._tracks:
            track.check()
            if track.segment is not None and now >= track.limit:
                track.end("rotate")

    def free_bytes(self) -> int:
        """Return how many bytes the file system still has for us.

        Raises:
            OutputFailed: The folder is gone.
        """
        try:
            found = os.statvfs(self.root)
        except OSError as error:
            raise failure(error, self.root) from error
        return found.f_bavail * found.f_frsize

    def close(self) -> None:
        """Close everything in good order and let go of the feed; blocks.

        Raises:
            OutputFailed: Something could not be written; what is on disk can be verified.
        """
        for track in self._tracks:
            with contextlib.suppress(OutputFailed):  # the track remembers it
                track.end("stop")
        self._stop_syncing.set()
        if self._syncer is not None:
            self._syncer.join()
        self._syncing.shutdown(wait=True)
        self._closing.shutdown(wait=True)
        self._lock.release()
        self._raise_failure()

    def _raise_failure(self) -> None:
        failures = [self._broken, *(track.failed for track in self._tracks)]
        for failed in failures:
            if failed is not None:
                raise failed

    # --- the threads

    def _finish(self, segment: Segment, finished: Finished) -> None:
        synced = self._syncing.submit(sync_and_close, segment.fd)
        self._closing.submit(self._close, synced, finished)

    def _close(self, synced: Future[None], finished: Finished) -> None:
        try:
            self._step("sync")
            synced.result()
            if self._broken is None:
                final = close_segment(finished, self._manifest, self._policy.compress, self._step)
                self.segments += 1
                if self._on_closed is not None:
                    self._on_closed(final)
        except OSError as error:
            self._break(failure(error, finished.part))

    def _sync_regularly(self, interval: float) -> None:
        while not self._stop_syncing.wait(interval):
            with contextlib.suppress(RuntimeError):  # shut down meanwhile
                self._syncing.submit(self._sync).result()

    def _sync(self) -> None:
        for track in self._tracks:
            segment = track.segment
            if segment is not None and segment.dirty:
                try:
                    segment.sync()
                except OSError as error:
                    # A track that failed a moment ago has closed its file.
                    if track.failed is None:
                        self._break(failure(error, segment.path))

    def _break(self, error: OutputFailed) -> None:
        if self._broken is None:
            self._broken = error
            self._on_error(error)
