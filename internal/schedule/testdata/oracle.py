"""Answers, with the real Prefect 2.20 and its libraries, what differential_test.go asks.

Reads one JSON case per line from standard input and writes one JSON answer per
line: {"valid": bool, "error": str, "dates": [[microseconds, offset seconds], ...]}.
An error beside valid=true was raised while looking for dates; those found
before it are kept.
"""

import datetime
import json
import os
import signal
import sys

# Prefect's pendulum brings zone data from 2020. To compare logic and not data,
# everything reads the machine's.
SYSTEM_ZONES = "/usr/share/zoneinfo"
if os.path.isdir(SYSTEM_ZONES):
    os.environ["PYTZDATA_TZDATADIR"] = SYSTEM_ZONES
    os.environ["PYTZ_TZDATADIR"] = SYSTEM_ZONES

import dateutil.rrule  # noqa: E402
import pendulum  # noqa: E402
from croniter import croniter  # noqa: E402
from prefect.server.schemas.schedules import (  # noqa: E402
    CronSchedule,
    IntervalSchedule,
    RRuleSchedule,
)

EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)


def instant(d):
    naive = datetime.datetime(
        d.year, d.month, d.day, d.hour, d.minute, d.second, d.microsecond
    )
    offset = d.utcoffset() or datetime.timedelta(0)
    return [(naive - offset - EPOCH) // MICROSECOND, int(offset.total_seconds())]


def naive_start(case):
    return EPOCH + datetime.timedelta(microseconds=case["start"])


def croniter_dates(case):
    iterator = croniter(case["cron"], naive_start(case), day_or=case["day_or"])
    for _ in range(case["n"]):
        yield iterator.get_next(datetime.datetime)


def dateutil_dates(case):
    rule = dateutil.rrule.rrulestr(
        case["rrule"], dtstart=datetime.datetime(2020, 1, 1), ignoretz=True, cache=True
    )
    for n, date in enumerate(rule.xafter(naive_start(case), inc=True)):
        if n == case["n"]:
            return
        yield date


def schedule(case):
    zone = case["timezone"] or None
    if case["kind"] == "cron":
        return CronSchedule(cron=case["cron"], timezone=zone, day_or=case["day_or"])
    if case["kind"] == "rrule":
        return RRuleSchedule(rrule=case["rrule"], timezone=zone)
    return IntervalSchedule(
        interval=datetime.timedelta(microseconds=case["interval"]),
        anchor_date=pendulum.parse(case["anchor"]),
        timezone=zone,
    )


def prefect_dates(case):
    start = pendulum.instance(naive_start(case), tz="UTC")
    return schedule(case)._get_dates_generator(n=case["n"], start=start)


def valid(case):
    if case["kind"] == "croniter":
        return croniter.is_valid(case["cron"])
    try:
        if case["kind"] == "dateutil":
            dateutil.rrule.rrulestr(case["rrule"])
        else:
            schedule(case)
    except Exception:
        return False
    return True


class TooSlow(Exception):
    pass


def stop(*_):
    raise TooSlow("timeout")


def answer(case):
    result = {"valid": valid(case), "error": "", "dates": []}
    if not result["valid"]:
        return result
    ask = {"croniter": croniter_dates, "dateutil": dateutil_dates}
    signal.setitimer(signal.ITIMER_REAL, 1.5 if case["kind"] != "dateutil" else 0.3)
    try:
        for date in ask.get(case["kind"], prefect_dates)(case):
            result["dates"].append(instant(date))
    except Exception as failure:
        result["error"] = f"{type(failure).__name__}: {failure}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return result


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, stop)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
