"""Everything that is watched of one version of an agent under one document."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from watchkeeper.breakers import burns, costs, loops, pace, storms
from watchkeeper.breakers.model import Alarm, Budget, Detectors, Ended, Permitted
from watchkeeper.core.money import dollars


class Watch(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the detectors remember. Nothing but calls that are counted in changes it."""

    costs: costs.Costs = costs.Costs()
    pace: pace.Pace = pace.Pace()
    loops: loops.Loops = loops.Loops()
    storms: storms.Storms = storms.Storms()
    burns: burns.Burns = burns.Burns()


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Watch).decode


def write(watch: Watch) -> str:
    """Return a watch as it is kept."""
    return _encode(watch).decode()


def read(text: str) -> Watch:
    """Read what `write` wrote; what another version of this program cannot read begins anew."""
    try:
        return _decode(text)
    except msgspec.DecodeError:
        return Watch()


def permitted(watch: Watch, call: Permitted, look: Detectors) -> tuple[Watch, Alarm | None]:
    """Count in a call that was let pass."""
    alarm = None
    if look.rate is not None:
        factor, baseline = look.rate.factor, look.rate.baseline_calls
        now = pace.step(watch.pace, call.at, factor=factor, baseline_calls=baseline)
        watch = msgspec.structs.replace(watch, pace=now)
        if pace.has_risen(now):
            usual = now.per_minute or 1.0
            alarm = Alarm(
                "rate",
                f"{_figure(now.risen_to)} calls a minute of late, "
                f"{_figure(now.risen_to / usual)} times the usual {_figure(usual)}",
                call.run,
            )
    if look.loop is not None:
        course, found = loops.step(watch.loops, call, look.loop)
        watch = msgspec.structs.replace(watch, loops=course)
        if found is not None and found.calls == 1:
            words = f"{call.name} was called {found.times} times with the same arguments"
            words += f" within {look.loop.window_seconds} s"
        elif found is not None:
            words = f"the same round of {found.calls} calls came {found.times} times in a row"
            words += f", the last {call.name}"
        if found is not None:
            alarm = Alarm("loop", words, call.run, call.digest)
    return watch, alarm


def ended(
    watch: Watch, call: Ended, look: Detectors, budgets: Iterable[Budget]
) -> tuple[Watch, Alarm | None]:
    """Count in how a call ended."""
    alarm = None
    if look.burn is not None:
        burned, burn = burns.step(watch.burns, call.at, call.used, look.burn, budgets)
        watch = msgspec.structs.replace(watch, burns=burned)
        if burn is not None:
            alarm = Alarm(
                "burn",
                f"it used {burn.share:.0%} of budget {burn.budget} within "
                f"{look.burn.long_minutes} min: {_figure(burn.long)} times faster than evenly, "
                f"{_figure(burn.short)} times within the last {look.burn.short_minutes} min",
                call.run,
            )
    if look.errors is not None:
        stormy, storm = storms.step(watch.storms, call.result, look.errors)
        watch = msgspec.structs.replace(watch, storms=stormy)
        if storm:
            alarm = Alarm(
                "errors",
                f"{stormy.failed} of the newest {look.errors.calls} calls failed",
                call.run,
            )
    if look.cost is not None and call.kind == "model":
        factor, baseline = look.cost.factor, look.cost.baseline_calls
        now = costs.step(watch.costs, call.cost_micros, factor=factor, baseline_calls=baseline)
        watch = msgspec.structs.replace(watch, costs=now)
        if costs.has_risen(now):
            level, usual = now.rise.level, now.median_micros or 1
            alarm = Alarm(
                "cost",
                f"model calls cost {dollars(round(level))} of late (the newest "
                f"{now.rise.readings}), {_figure(level / usual)} times the usual {dollars(usual)} "
                f"(the median of {now.calls})",
                call.run,
            )
    return watch, alarm


def settle(watch: Watch) -> Watch:
    """Forget what alarmed; baselines stay as they are."""
    return Watch(costs=costs.settle(watch.costs), pace=pace.settle(watch.pace))


def says_nothing(call: Ended, detector: str) -> str | None:
    """Say why a probe shows neither that what tripped the breaker is over nor that it goes on."""
    if call.result == "unknown":
        return "nobody knows how the probe ended"
    if detector == "cost" and call.result == "succeeded" and call.cost_micros <= 0:
        return "the probe cost nothing, which shows nothing of what calls cost"
    return None


def went_well(watch: Watch, call: Ended, look: Detectors, detector: str) -> bool:
    """Tell whether a probe shows that what tripped the breaker is over."""
    if call.result != "succeeded":
        return False
    if detector == "cost" and look.cost is not None:
        return not costs.is_high(watch.costs, call.cost_micros, factor=look.cost.factor)
    return True


def _figure(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
