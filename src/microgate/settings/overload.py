"""Settings of what a worker takes on at a time, whoever calls. Quotas of callers are policies of the project."""

from typing import Annotated

from microgate.settings.section import Section, acts


class Overload(Section, frozen=True):
    """Bounds on requests in flight; what is over them is answered 503 at once."""

    max_in_flight: Annotated[int, acts("requests in flight in one worker; 0 for no bound", low=0)] = 10_000
    max_in_flight_per_operation: Annotated[
        int,
        acts("requests in flight of one operation in one worker, where it says nothing itself; 0 for no bound", low=0),
    ] = 0
    adaptive: Annotated[
        bool, acts("bound the requests of each operation that wait for its backend by how fast it answers")
    ] = False
    latency_target_in_millis: Annotated[
        int, acts("an adaptive bound takes no answer for slow that begins within so many milliseconds", low=1)
    ] = 50
