"""Results to come, awaited by a task or by a coroutine that runs without one."""

import asyncio
import contextvars
import gc
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Literal

import pytest

from messaging_api.core.pending import Driver, Pending, TaskResult, begun
from messaging_api.errors import NotExecuted
from messaging_api.stores.batching import Batcher, PendingOperation, drop_abandoned

How = Literal["driver", "task"]
BOTH = pytest.mark.parametrize("how", ["driver", "task"])


class Run:
    """A coroutine that runs in a driver or in a task, and what it ended with."""

    def __init__(self, how: How, coroutine: Coroutine[Any, Any, object]) -> None:
        self.outcomes: list[object] = []
        self.driver: Driver[object] = Driver()
        self.task: asyncio.Task[object] | None = None
        if how == "driver":
            self.driver.run(coroutine, self.outcomes.append)
        else:
            self.task = asyncio.get_running_loop().create_task(coroutine)
            self.task.add_done_callback(self._finish)

    def _finish(self, task: "asyncio.Task[object]") -> None:
        self.outcomes.append(asyncio.CancelledError() if task.cancelled() else task.exception() or task.result())

    def stop(self) -> None:
        """End it while it waits."""
        if self.task is None:
            self.driver.close()
        else:
            self.task.cancel()

    async def outcome(self) -> object:
        """Return what it ended with, as soon as the loop has run what is scheduled."""
        await settled()
        (outcome,) = self.outcomes
        return outcome


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def wait_for(awaitable: Awaitable[object]) -> object:
    return await awaitable


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test in an event loop."""

    def run() -> None:
        asyncio.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@BOTH
@pytest.mark.parametrize("early", [False, True])
def test_result_and_exception_reach_the_waiter(how: How, early: bool) -> None:  # noqa: FBT001 a case of the test
    """The result is returned and the exception is raised, whether it comes before the wait or after; None counts."""

    async def main() -> None:
        error = NotExecuted("away")
        for outcome in (5, None, error, asyncio.CancelledError()):
            pending: Pending[object] = Pending()
            assert pending.wanted
            if early:
                pending.resolve(outcome)
            run = Run(how, wait_for(pending))
            await settled()
            assert len(run.outcomes) == early
            pending.resolve(outcome)
            assert not pending.wanted
            pending.resolve("a second outcome changes nothing")
            ended = await run.outcome()
            assert ended is outcome or isinstance(outcome, asyncio.CancelledError)
            assert type(ended) is type(outcome)
            assert pending.outcome() is outcome

    asyncio.run(main())


@in_loop
async def test_driver_resumes_within_resolve() -> None:
    """The coroutine goes on in the very call that resolves what it awaits, without a turn of the loop or a task."""
    steps: list[object] = []
    first: Pending[str] = Pending()
    second: Pending[str] = Pending()

    async def work() -> str:
        steps.append(await first)
        steps.append(await second)
        return "end"

    driver: Driver[str] = Driver()
    driver.run(work(), steps.append)
    assert driver.busy
    first.resolve("first")
    assert steps == ["first"]
    second.resolve("second")
    assert steps == ["first", "second", "end"]
    assert not driver.busy
    assert asyncio.all_tasks() == {asyncio.current_task()}


@BOTH
def test_waiter_that_stops_abandons_what_it_awaits(how: How) -> None:
    """It is not wanted any more, its result changes nothing, and a task that is cancelled ends as cancelled."""

    async def main() -> None:
        pending: Pending[int] = Pending()
        run = Run(how, wait_for(pending))
        await settled()
        assert pending.wanted
        run.stop()
        await settled()
        assert not pending.wanted
        pending.resolve(5)
        with pytest.raises(asyncio.CancelledError):
            pending.result()
        await settled()
        assert [type(outcome) for outcome in run.outcomes] == ([asyncio.CancelledError] if how == "task" else [])

    asyncio.run(main())


@BOTH
def test_abandoned_operations_are_dropped_from_a_batch(how: How) -> None:
    """An operation whose waiter has stopped before the batch is handed over need not be carried out."""

    async def main() -> None:
        batches: list[list[PendingOperation[int, int]]] = []
        batcher: Batcher[int, int] = Batcher(batches.append)
        operations = [batcher.submit(n) for n in range(3)]
        runs = [Run(how, wait_for(operation)) for operation in operations]
        if how == "task":
            await asyncio.sleep(0)  # the tasks have begun
        runs[1].stop()
        await settled()
        (batch,) = batches
        assert [operation.operation for operation in drop_abandoned(batch)] == [0, 2]
        for operation in drop_abandoned(batch):
            operation.resolve(operation.operation)
        await settled()
        assert [run.outcomes for run in (runs[0], runs[2])] == [[0], [2]]

    asyncio.run(main())


@in_loop
async def test_cancelled_future_abandons() -> None:
    """A pending as a future has its result, and cancelling the future abandons it."""
    pending: Pending[int] = Pending()
    future = pending.as_future()
    pending.resolve(5)
    assert await future == 5
    unwanted: Pending[int] = Pending()
    future = unwanted.as_future()
    future.cancel()
    await settled()
    assert not unwanted.wanted


@in_loop
async def test_driver_gives_the_exception_that_ended_the_coroutine() -> None:
    """Also one that is no Exception; and after it the driver runs another coroutine."""
    outcomes: list[object] = []
    driver: Driver[object] = Driver()
    for error in (ValueError("x"), KeyboardInterrupt()):

        async def fail(error: BaseException = error) -> None:
            raise error

        driver.run(fail(), outcomes.append)
        assert outcomes[-1] is error
        assert not driver.busy
    driver.run(wait_for(Pending()), outcomes.append)
    assert driver.busy
    driver.close()
    driver.close()
    assert len(outcomes) == 2


@in_loop
async def test_close_ends_the_coroutine_where_it_waits() -> None:
    """It gets GeneratorExit, its blocks are left, and nobody hears of its end."""
    pending: Pending[int] = Pending()
    seen: list[str] = []

    async def work() -> None:
        try:
            await pending
        except GeneratorExit:
            seen.append("GeneratorExit")
            raise
        finally:
            seen.append("finally")

    driver: Driver[None] = Driver()
    driver.run(work(), lambda _: seen.append("end"))
    driver.close()
    assert seen == ["GeneratorExit", "finally"]
    assert not pending.wanted
    assert not driver.busy
    pending.resolve(1)
    assert seen == ["GeneratorExit", "finally"]


@in_loop
async def test_futures_cannot_be_awaited_without_a_task() -> None:
    """The coroutine gets a TypeError where it awaits one, and may go on from there."""
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    pending: Pending[int] = Pending()

    async def work() -> object:
        errors = 0
        for awaitable in (future, asyncio.sleep(1), asyncio.sleep(0)):
            try:
                await awaitable
            except TypeError:
                errors += 1
        return errors, await pending

    run = Run("driver", work())
    assert run.outcomes == []
    pending.resolve(5)
    assert run.outcomes == [(3, 5)]
    unhandled = Run("driver", wait_for(asyncio.get_running_loop().create_future()))
    assert [type(outcome) for outcome in unhandled.outcomes] == [TypeError]
    assert "in a task only" in str(unhandled.outcomes[0])


@in_loop
async def test_driven_coroutine_resumes_another() -> None:
    """One that resolves what another awaits runs on after it, and may still await; so may a task beside them."""
    order: list[str] = []
    first: Pending[None] = Pending()
    second: Pending[None] = Pending()
    third: Pending[None] = Pending()

    async def resumed() -> None:
        await first
        order.append("resumed")
        await third
        order.append("resumed again")

    async def resuming() -> None:
        first.resolve(None)
        order.append("resuming")
        await second
        order.append("resuming again")
        third.resolve(None)

    ends: list[object] = []
    one: Driver[None] = Driver()
    other: Driver[None] = Driver()
    one.run(resumed(), ends.append)
    other.run(resuming(), ends.append)
    assert order == ["resumed", "resuming"]
    task = Run("task", wait_for(Pending()))
    second.resolve(None)
    assert order == ["resumed", "resuming", "resuming again", "resumed again"]
    assert ends == [None, None]
    await settled()
    assert task.outcomes == []
    task.stop()
    await settled()


@in_loop
async def test_driver_may_be_used_again_from_its_end() -> None:
    """The end of one coroutine may begin the next one, whether that waits or not."""
    driver: Driver[int] = Driver()
    outcomes: list[object] = []
    gates: list[Pending[int]] = [Pending(), Pending()]

    async def give(value: int) -> int:
        return value

    async def wait(gate: int) -> int:
        return await gates[gate]

    def begin_next(outcome: object) -> None:
        outcomes.append(outcome)
        if len(outcomes) < 4:
            driver.run(wait(1) if len(outcomes) == 2 else give(len(outcomes)), begin_next)

    driver.run(wait(0), begin_next)
    gates[0].resolve(0)
    assert outcomes == [0, 1]
    assert driver.busy
    gates[1].resolve(2)
    assert outcomes == [0, 1, 2, 3]
    assert not driver.busy


@BOTH
def test_many_waits_do_not_recurse(how: How) -> None:
    """10,000 results, each there before its wait or resolved one after the other, need no deeper stack."""

    async def main() -> None:
        waited: list[Pending[int]] = []

        async def work() -> int:
            total = 0
            for n in range(10_000):
                resolved: Pending[int] = Pending()
                resolved.resolve(n)
                total += await resolved
                waited.append(Pending())
                total += await waited[-1]
            return total

        run = Run(how, work())
        for _ in range(10_000):
            if how == "task":
                while not waited:
                    await asyncio.sleep(0)
            waited.pop().resolve(1)
            if how == "task":
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        assert await run.outcome() == sum(range(10_000)) + 10_000

    asyncio.run(main())


@in_loop
async def test_callback_of_a_resolved_result_is_called_at_once() -> None:
    """And once only."""
    seen: list[Pending[int]] = []
    pending: Pending[int] = Pending()
    pending.resolve(5)
    pending.on_result(seen.append)
    pending.resolve(6)
    assert seen == [pending]
    assert pending.result() == 5


@in_loop
async def test_task_result() -> None:
    """A coroutine in a task of its own may await anything; its result or exception reaches the driven coroutine."""

    async def sleep(outcome: object) -> object:
        await asyncio.sleep(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    error = ValueError("x")
    runs = [Run("driver", wait_for(TaskResult(sleep(outcome)))) for outcome in (5, None, error)]
    assert [run.outcomes for run in runs] == [[], [], []]
    assert [await run.outcome() for run in runs] == [5, None, error]


@in_loop
async def test_abandoned_task_is_cancelled() -> None:
    """When the connection that waits for it ends, so does the task; an error of its last steps disturbs nobody."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise ValueError("in the last steps") from None

    run = Run("driver", wait_for(TaskResult(forever())))
    await settled()
    run.stop()
    await settled()
    gc.collect()
    assert ended == ["cancelled"]
    assert (run.outcomes, failures) == ([], [])
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_loop
async def test_cancelled_task_raises_cancelled_error() -> None:
    """A task that somebody else cancels ends the wait for it."""

    async def cancel_itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    run = Run("driver", wait_for(TaskResult(cancel_itself())))
    assert isinstance(await run.outcome(), asyncio.CancelledError)


@in_loop
async def test_task_has_a_context_of_its_own() -> None:
    """It sees the context variables of the coroutine that made it; what it sets is not seen outside."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("outside")
    seen: list[str] = []

    async def inside() -> None:
        seen.append(variable.get())
        variable.set("inside")
        await asyncio.sleep(0)
        seen.append(variable.get())

    async def work() -> None:
        await TaskResult(inside())
        seen.append(variable.get())

    await Run("driver", work()).outcome()
    assert seen == ["outside", "inside", "outside"]


@in_loop
async def test_begun() -> None:
    """What is on its way is awaited itself; anything else runs in a task."""
    pending: Pending[object] = Pending()
    assert begun(pending) is pending

    class Custom:
        def __await__(self) -> Generator[Any, None, int]:
            yield from asyncio.sleep(0).__await__()
            return 5

    assert await Run("driver", wait_for(begun(Custom()))).outcome() == 5
