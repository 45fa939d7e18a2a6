"""The mutants: each breaks one rule of docs/protocol.md in one place, and names the tests that then go red."""

from __future__ import annotations

from tests.mutants.mutant import Mutant
from tests.mutants.owners import OWNERS

__all__ = ["MUTANTS", "Mutant"]

_LOG = "lib/holdfast/log.py"
_PUBLISH = "lib/holdfast/publish.py"
_ATTEMPT = "lib/holdfast/attempt.py"
_UPSTASH = "lib/holdfast/adapters/upstash.py"

_RULES = "tests/core/test_log_rules.py"
_DELIVERY = "tests/publishing/test_delivery.py"
_RESCUE = "tests/publishing/test_rescue.py"
_HANDOFF = "tests/publishing/test_handoff.py"
_JUDGED = "tests/publishing/test_judged_ends.py"
_DELETIONS = "tests/publishing/test_deletion_races.py"
_FENCING = "tests/publishing/test_fencing.py"

MUTANTS: tuple[Mutant, ...] = (
    # -- ids and appends
    Mutant(
        name="the store chooses the ids",
        rule="I1",
        file=_UPSTASH,
        old="str(id), _FIELD, record]",
        new='"*" if str(id) != "0-1" else str(id), _FIELD, record]',
        tests=(f"{_RULES}::test_the_same_append_again_is_one[fakeredis]",),
    ),
    Mutant(
        name="a refused append counts as landed",
        rule="A4",
        file=_LOG,
        old="if await self._landed(key, id, text, create=create):",
        new="if True:",
        tests=(
            f"{_RULES}::test_a_zombie_writes_nothing[memory-record0]",
            f"{_DELIVERY}::test_of_two_deliveries_at_once_one_calls_the_model",
        ),
    ),
    Mutant(
        name="a refused append counts as superseded",
        rule="A4",
        file=_LOG,
        old="if await self._landed(key, id, text, create=create):",
        new="if True:\n                    raise Superseded(key)",
        tests=(
            f"{_RULES}::test_the_same_append_again_is_one[memory]",
            "tests/publishing/test_store_faults.py::test_lost_replies_and_requests_change_nothing",
        ),
    ),
    Mutant(
        name="the read-back asks a replica",
        rule="A4",
        file=_LOG,
        old="_, found, last = await self.run(Drop((self.keys.nothing,)), Range(",
        new="found, last = await self.run(Range(",
        tests=("tests/core/test_log_faults.py::test_a_read_back_asks_the_primary",),
    ),
    Mutant(
        name="an append recreates a vanished log",
        rule="A5",
        file=_LOG,
        old="Append(key, id, text, create)",
        new="Append(key, id, text, True)",
        tests=(
            f"{_RULES}::test_a_vanished_log_stays_gone[memory]",
            "tests/publishing/test_store_faults.py::test_a_log_that_vanished_cancels_the_model_and_is_not_recreated",
        ),
    ),
    Mutant(
        name="Redis may create the log",
        rule="A5",
        file=_UPSTASH,
        old='*([] if create else ["NOMKSTREAM"]), ',
        new="",
        tests=("tests/core/test_operations.py::test_an_append_needs_its_log[fakeredis]",),
    ),
    # -- claims, leases, take-over
    Mutant(
        name="reading before the claim",
        rule="K1",
        file=_PUBLISH,
        old="Answer(await self.log.claim(stream, attempt, begin, self.log.ttl_ms(answer.queued)))",
        new="Answer(entries + (await self.log.claim(stream, attempt, begin, self.log.ttl_ms(answer.queued)))[-1:])",
        tests=(
            f"{_FENCING}::test_a_claim_behind_an_end_calls_no_model",
            f"{_FENCING}::test_what_was_written_between_look_and_claim_is_gone_on_from",
        ),
    ),
    Mutant(
        name="the claim reads a replica",
        rule="K1",
        file=_LOG,
        old="entries += await self.read(stream, FIRST, exclusive=True, fresh=True)",
        new="entries += await self.read(stream, FIRST, exclusive=True)",
        tests=("tests/core/test_claim_reads.py::test_a_claim_is_not_misled_by_a_lagging_replica",),
    ),
    Mutant(
        name="no lease",
        rule="L3",
        file=_PUBLISH,
        old="if await self.log.held(delivery.stream, attempt) != begin.owner:",
        new="if True:",
        tests=(f"{_DELIVERY}::test_a_delivery_beside_a_living_holder_is_turned_away_with_a_note",),
    ),
    Mutant(
        name="a lease is not renewed",
        rule="L2",
        file=_LOG,
        old="lease = Put(self.keys.lease(stream, attempt), owner, self.lease_ms)",
        new='lease = Put(self.keys.lease(stream, attempt), owner, self.lease_ms, "absent")',
        tests=(f"{_DELIVERY}::test_a_silent_model_keeps_its_lease",),
    ),
    Mutant(
        name="a renewal does not look at the tail",
        rule="L2",
        file=_ATTEMPT,
        old="if tail.attempt != self.number:",
        new="if False:",
        tests=(f"{_DELIVERY}::test_a_silent_model_learns_of_a_stop_at_the_next_renewal",),
    ),
    Mutant(
        name="taking over after a try that was turned away",
        rule="L4",
        file=_PUBLISH,
        old="return away is None or away < begin.retried",
        new="return True",
        tests=(f"{_DELIVERY}::test_a_retry_after_a_turned_away_duplicate_proves_nothing",),
    ),
    Mutant(
        name="a note may shrink",
        rule="L5",
        file=_UPSTASH,
        old='*(["GT"] if greater else []), ',
        new="",
        tests=(f"{_RULES}::test_notes_only_grow[fakeredis]",),
    ),
    Mutant(
        name="a superseded publisher answers 2xx",
        rule="L6",
        file=_PUBLISH,
        old="return await self._turn_away(delivery, newest)",
        new="return Verdict.DONE",
        tests=(f"{_DELIVERY}::test_a_superseded_publisher_stops_and_does_not_acknowledge",),
    ),
    Mutant(
        name="no bound without the store",
        rule="L7",
        file=_ATTEMPT,
        old="log.patient(max(log.lease_ms / 1000 - pace.renew, pace.renew))",
        new="log.patient(60.0)",
        tests=("tests/publishing/test_store_faults.py::test_a_store_that_is_gone_for_a_lease_time_cancels_the_model",),
    ),
    # -- ends
    Mutant(
        name="an end that is not fenced",
        rule="E2",
        file=_ATTEMPT,
        old="self._answer.end = (await self._append(ending), ending)",
        new="await self._log.seal(self._stream, ending)\n            self._answer.end = (self._answer.last.id, ending)",
        tests=(f"{_FENCING}::test_a_superseded_publisher_ends_nothing",),
    ),
    Mutant(
        name="acknowledging before the end is written",
        rule="L6",
        file=_ATTEMPT,
        old="self._answer.end = (await self._append(ending), ending)",
        new="self._late = asyncio.create_task(self._append(ending))\n"
        "            self._answer.end = (self._answer.last.id, ending)",
        tests=(f"{_FENCING}::test_nothing_is_acknowledged_before_the_end_is_written",),
    ),
    Mutant(
        name="a claim that finds an end calls the model",
        rule="K3",
        file=_PUBLISH,
        old="return Verdict.REFUSE\n        if answer.end is not None:",
        new="return Verdict.REFUSE\n        if False:",
        tests=(f"{_FENCING}::test_a_claim_behind_an_end_calls_no_model",),
    ),
    Mutant(
        name="the last terminal record counts",
        rule="E1",
        file="lib/holdfast/answer.py",
        old="if self.end is not None:\n            return",
        new="if False:\n            return",
        tests=(f"{_FENCING}::test_a_claim_behind_an_end_calls_no_model",),
    ),
    Mutant(
        name="an ended log is sealed again",
        rule="E3",
        file=_LOG,
        old="if tail is not None and is_terminal(tail.record):",
        new="if False:",
        tests=(f"{_RULES}::test_an_ended_log_is_not_sealed[memory-end0]",),
    ),
    Mutant(
        name="an end by judgement hits whoever came since",
        rule="E5",
        file=_LOG,
        old="SEAL if after is None else EntryId(after.attempt, after.seq + 1)",
        new="SEAL",
        tests=(
            f"{_JUDGED}::test_a_callback_that_looked_too_early_does_not_end_the_attempt_that_began_since",
            f"{_JUDGED}::test_a_last_resort_that_looked_too_early_does_not_end_the_attempt_that_began_since",
        ),
    ),
    # -- hand-off, rescue, callback
    Mutant(
        name="a handed-off message is not enqueued on",
        rule="O2",
        file=_PUBLISH,
        old="if handoff.message == delivery.message_id:",
        new="if False:",
        tests=(f"{_HANDOFF}::test_a_redelivery_of_a_handed_off_message_enqueues_again",),
    ),
    Mutant(
        name="no rescue",
        rule="Q1",
        file="lib/holdfast/rescue.py",
        old="if first != mark or (",
        new="if True or (",
        tests=(
            f"{_RESCUE}::test_a_rescue_takes_over_after_the_lease",
            "tests/publishing/test_cleanup.py::test_a_stalled_answer_is_rescued",
        ),
    ),
    Mutant(
        name="no last resort",
        rule="Q2",
        file="lib/holdfast/rescue.py",
        old="if now - int(since) >= self.give_up * 1000:",
        new="if False:",
        tests=(f"{_RESCUE}::test_readers_that_never_stay_end_it_all_the_same",),
    ),
    Mutant(
        name="the callback seals a live answer",
        rule="Q3",
        file=_PUBLISH,
        old=" or await self.log.held(delivery.stream, attempt) is not None:",
        new=":",
        tests=(f"{_RESCUE}::test_the_callback_leaves_a_living_answer_alone",),
    ),
    # -- the generator
    Mutant(
        name="the partial is not handed to the generator",
        rule="T2",
        file="lib/holdfast/pump.py",
        old="partial=self._answer.builder.text(),",
        new='partial="",',
        tests=(
            f"{_HANDOFF}::test_an_attempt_hands_off_before_its_deadline",
            f"{_HANDOFF}::test_an_answer_may_take_many_calls",
        ),
    ),
    # -- readers and doors
    Mutant(
        name="cursors compared as text",
        rule="C2",
        file="lib/holdfast/records.py",
        old="return self._key() < other._key()",
        new="return str(self) < str(other)",
        tests=("tests/core/test_records.py::test_order_of_cursors_by_example",),
    ),
    Mutant(
        name="`<=` for `<` on cursors",
        rule="C3",
        file="lib/holdfast/subscribe.py",
        old="self._cursor < frame.cursor]",
        new="self._cursor <= frame.cursor]",
        tests=("tests/core/test_reading_refusals.py::test_a_gap_that_closes_is_waited_for",),
    ),
    Mutant(
        name="a heartbeat with a blank line",
        rule="F3",
        file="lib/holdfast/sse.py",
        old='HEARTBEAT: Final = b":\\n"',
        new='HEARTBEAT: Final = b":\\n\\n"',
        tests=("tests/core/test_sse.py::test_frames_by_example",),
    ),
    Mutant(
        name="a gap is read over",
        rule="D5",
        file="lib/holdfast/subscribe.py",
        old="while not self._is_dense(page):",
        new="while False:",
        tests=("tests/core/test_reading_refusals.py::test_a_gap_that_stays_is_an_error[an entry is missing]",),
    ),
    Mutant(
        name="the signature's URL is not checked",
        rule="W3",
        file="lib/holdfast/adapters/signature.py",
        old='if payload.get("sub") != url:',
        new="if False:",
        tests=("tests/adapters/test_signature.py::test_a_request_for_another_url_or_with_another_body_is_refused",),
    ),
    # -- deleting a chat
    Mutant(
        name="a deletion does not look whether turns have come up",
        rule="J3",
        file="lib/holdfast/erasure.py",
        old="if highest < floor:",
        new="if highest or not floor:",
        tests=(f"{_DELETIONS}::test_two_starts_beside_a_deletion",),
    ),
    Mutant(
        name="an opened log does not look for a deletion",
        rule="J4",
        file="lib/holdfast/start.py",
        old=">= max(plan.turn, 1):",
        new=">= max(plan.turn, 1) and not plan.turn:",
        tests=(f"{_DELETIONS}::test_a_start_beside_a_deletion[an answer]",),
    ),
    Mutant(
        name="messages below the floor are read",
        rule="J5",
        file="lib/holdfast/history.py",
        old="if turn > (erased or 0)]",
        new="if turn > 0]",
        tests=(f"{_DELETIONS}::test_a_start_beside_a_deletion[an answer]",),
    ),
    Mutant(
        name="no marks are left for late settlers",
        rule="J5",
        file="lib/holdfast/erasure.py",
        old="[Put(keys.message(chat, place), DROPPED, _MARKED_MS) for place in places]",
        new="[Drop((keys.message(chat, place),)) for place in places]",
        tests=(f"{_DELETIONS}::test_a_settler_beside_a_deletion_and_a_new_start",),
    ),
    Mutant(
        name="a deleted log leaves its idempotency key",
        rule="J6",
        file="lib/holdfast/erasure.py",
        old="gone.append(keys.idempotency(queued.idempotency))",
        new="pass",
        tests=("tests/core/test_chat_deletion.py::test_a_key_of_a_deleted_answer_begins_a_new_one[memory]",),
    ),
    Mutant(
        name="nobody finishes a deletion",
        rule="J6",
        file="lib/holdfast/erasure.py",
        old="Rank(keys.erasing, name, log.clock.now_ms() + _LEFT_MS),",
        new="Unrank(keys.erasing, (name,)),",
        tests=(f"{_DELETIONS}::test_a_deletion_that_dies_anywhere_is_finished[False-False-cleanup]",),
    ),
    *OWNERS,
)
