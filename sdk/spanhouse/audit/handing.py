"""How an audit event becomes a log record: straight to delivery where nobody else listens to the provider."""

from __future__ import annotations

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value
from opentelemetry.sdk._logs import Logger, ReadableLogRecord
from opentelemetry.util.types import AttributeValue

from spanhouse.active import Telemetry
from spanhouse.processors import LogHandOver


def hand_over(
    telemetry: Telemetry, name: str, timestamp: int, body: str, attributes: dict[str, AttributeValue]
) -> None:
    """Give one event to delivery, and to every other processor of a log provider that was joined.

    Args:
        telemetry: what is running.
        name: the event's name.
        timestamp: nanoseconds since 1970.
        body: JSON.
        attributes: of the record; kept as they are.
    """
    logger = telemetry.audit
    if not (isinstance(logger, Logger) and _alone(logger)):
        logger.emit(
            timestamp=timestamp,
            severity_number=SeverityNumber.INFO,
            event_name=name,
            body=body,
            attributes=attributes,
        )
        return
    if get_value(_SUPPRESS_INSTRUMENTATION_KEY):
        return
    # What the provider would make of it costs as much again as everything else about the event.
    record = LogRecord(
        timestamp=timestamp,
        observed_timestamp=timestamp,
        severity_number=SeverityNumber.INFO,
        event_name=name,
        body=body,
        attributes=attributes,
    )
    telemetry.logs.put(
        ReadableLogRecord(
            log_record=record,
            resource=logger.resource,
            instrumentation_scope=logger._instrumentation_scope,  # noqa: SLF001 - it has no public name
        )
    )


def _alone(logger: Logger) -> bool:
    # Asked each time: a processor may be added to a provider at any moment. Whatever is not known is not alone.
    if not logger._is_enabled():  # noqa: SLF001 - switched off by the provider's configurator
        return False
    processors: tuple[object, ...] = getattr(logger._multi_log_record_processor, "_log_record_processors", ())  # noqa: SLF001
    return len(processors) == 1 and type(processors[0]) is LogHandOver
