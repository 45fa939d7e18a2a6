"""Everything a process serves, wired once: settings and adapters in, the four verbs out."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

from holdfast.adapters.memory_rates import MemoryRates
from holdfast.adapters.platform import Platform
from holdfast.adapters.signals import DrainOnSigterm
from holdfast.auth import Auth
from holdfast.budget import Budget
from holdfast.clock import Clock, SystemClock
from holdfast.drain import Drain
from holdfast.gate import Gate
from holdfast.generation import GenerationRequest, Generator, Part
from holdfast.keys import Keys
from holdfast.limits import Limits, Rates
from holdfast.log import Log
from holdfast.logs import place
from holdfast.named import load_named
from holdfast.observed import ObservedLog
from holdfast.operations import StreamLog
from holdfast.pace import Pace
from holdfast.publish import Publisher
from holdfast.queue import Queue
from holdfast.readers import Readers
from holdfast.rescue import Rescuer
from holdfast.retention import Cleaner
from holdfast.settings import Settings
from holdfast.shares import Shares
from holdfast.start import Starter
from holdfast.subscribe import Patience, Subscriber

if TYPE_CHECKING:
    from holdfast.adapters.openai import Api, Continuation

_logger = logging.getLogger("holdfast")


@dataclass(frozen=True)
class Services:
    """The verbs, bound to one deployment's settings.

    Attributes:
        settings: the settings.
        store: the store.
        queue_to: the queue that delivers to the functions at a public origin.
        load_generator: makes the generator; called by the first publish.
        clock: time.
        rates: the allowances that starts are limited by; without, they are counted in this process alone.
        platform: what runs this process.
    """

    settings: Settings
    store: StreamLog
    queue_to: Callable[[str], Queue]
    load_generator: Callable[[], Generator]
    clock: Clock
    rates: Rates | None = None
    platform: Platform = "other"

    @cached_property
    def log(self) -> Log:
        """The protocol's verbs on the store."""
        lease_ms = round(self.settings.lease_seconds * 1000)
        return ObservedLog(self.store, Keys(self.settings.key_prefix), self.clock, lease_ms)

    @cached_property
    def drain(self) -> Drain:
        """Begins when the process is told to end."""
        return Drain()

    @cached_property
    def sigterm(self) -> DrainOnSigterm:
        """What tells the process to end."""
        return DrainOnSigterm(self.drain)

    @cached_property
    def auth(self) -> Auth:
        """Who is asking."""
        return Auth(self.settings, self.clock)

    @cached_property
    def shares(self) -> Shares:
        """What lets others read a stream."""
        return Shares(self.log, self.settings.secret, self.settings.longest_reading_seconds)

    @cached_property
    def generate(self) -> Generator:
        """The generator of this deployment."""
        return self.load_generator()

    def starter(self, origin: str) -> Starter:
        """For the start routes."""
        settings = self.settings
        retained = settings.retention_seconds, settings.chat_retention_seconds
        return Starter(self.log, self.queue_to(origin), *retained, self.gate)

    @cached_property
    def gate(self) -> Gate:
        """What limits starts."""
        settings = self.settings
        limits = Limits(
            owner_starts=settings.max_starts_per_minute,
            address_starts=settings.max_address_starts_per_minute,
            live_answers=settings.max_live_answers,
            prompt_chars=settings.max_prompt_chars,
            history_messages=settings.max_history_messages,
            history_bytes=settings.max_history_bytes,
        )
        rates = self.rates or MemoryRates(self.clock)
        return Gate(self.log, rates, limits, settings.give_up_seconds, settings.max_answer_seconds)

    @cached_property
    def readers(self) -> Readers:
        """Who reads in this process."""
        return Readers(self.settings.max_stream_readers, self.settings.max_readers)

    def subscriber(self, origin: str) -> Subscriber:
        """For the routes that read."""
        settings = self.settings
        patience = Patience(poll=settings.poll_ms / 1000, heartbeat=settings.heartbeat_seconds)
        return Subscriber(self.log, self.rescuer(origin), patience, settings.retention_seconds * 1000)

    def publisher(self, origin: str) -> Publisher:
        """For the publish route."""
        settings = self.settings
        pace = Pace(
            flush=settings.flush_ms / 1000,
            renew=settings.lease_seconds * 0.3,
            margin=min(8.0, settings.max_seconds * 0.2),
            budget=Budget(
                idle_attempts=settings.max_idle_attempts,
                attempts=settings.max_attempts,
                interruptions=settings.max_interruptions,
                seconds=settings.max_answer_seconds,
                bytes=settings.max_answer_bytes,
                tokens=settings.max_tokens,
            ),
        )
        return Publisher(self.log, self.queue_to(origin), self._generate, pace, self._crashed, self.drain)

    def cleaner(self, origin: str) -> Cleaner:
        """For the cleanup route."""
        return Cleaner(self.log, self.rescuer(origin))

    def rescuer(self, origin: str) -> Rescuer:
        """For whoever finds a stream that nobody writes."""
        settings = self.settings
        return Rescuer(self.log, self.queue_to(origin), settings.stall_seconds, settings.give_up_seconds)

    def _generate(self, request: GenerationRequest) -> AsyncIterator[str | Part] | Iterator[str | Part]:
        """Load the generator with its first call: one that cannot be imported ends answers, and nothing else."""
        return self.generate(request)

    def _crashed(self, error: BaseException) -> None:
        """Say where a generator failed; the exception's own text only where the developer is watching."""
        if self.settings.tracebacks:
            traceback.print_exception(error, file=sys.stderr)
            return
        _logger.error("generator_failed", extra={"exception": type(error).__name__, "where": place(error)})


def build(settings: Settings, platform: Platform = "other") -> Services:
    """Services over the real adapters; nothing is connected yet.

    Args:
        settings: the deployment's settings.
        platform: what runs this process.
    """
    from holdfast.adapters.qstash import QStashQueue
    from holdfast.adapters.ratelimit import UpstashRates
    from holdfast.adapters.upstash import UpstashLog

    queues: dict[str, Queue] = {}
    bypass = settings.protection_bypass
    headers = {"x-vercel-protection-bypass": bypass} if bypass else {}

    def queue_to(origin: str) -> Queue:
        if origin not in queues:
            queues[origin] = QStashQueue(
                url=settings.qstash_url,
                token=settings.qstash_token,
                destination=f"{origin}/api/publish",
                failure_url=f"{origin}/api/publish/failed",
                retries=settings.qstash_retries,
                headers=headers,
                timeout_seconds=settings.request_timeout_seconds,
            )
        return queues[origin]

    store = UpstashLog(settings.redis_url, settings.redis_token, timeout=settings.request_timeout_seconds)
    rates = UpstashRates(store)
    return Services(settings, store, queue_to, lambda: load_generator(settings), SystemClock(), rates, platform)


def load_generator(settings: Settings) -> Generator:
    """The user's generator, or the one over the OpenAI API.

    Raises:
        SettingsError: ``HOLDFAST_GENERATOR`` names something that is not there or cannot be called.
    """
    if not settings.generator:
        from holdfast.adapters.openai import openai_generator

        return openai_generator(
            api=cast("Api", settings.api),
            continuation=cast("Continuation", settings.continuation),
            api_key=settings.openai_api_key,
            base_url=settings.openai_base_url,
            model=settings.model,
            system=settings.system,
            max_output_tokens=settings.max_output_tokens,
        )
    return cast("Generator", load_named("HOLDFAST_GENERATOR", settings.generator))
