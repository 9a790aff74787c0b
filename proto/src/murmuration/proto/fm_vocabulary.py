"""fm's words: severities, event types and probable causes of ITU-T X.733 and X.736, losslessly.

A producer's word that is not here is refused by fm, by itself and with the reason; a reader of a
later version's word gets UNKNOWN, or, where a cause is plain text, the word itself.
"""

import enum

from murmuration.proto.envelope import OpenEnum


class Severity(OpenEnum):
    """X.733 perceived severity."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    WARNING = "warning"
    INDETERMINATE = "indeterminate"
    UNKNOWN = "unknown"


SEVERITY_RANK = {
    Severity.CRITICAL: 5,
    Severity.MAJOR: 4,
    Severity.MINOR: 3,
    Severity.WARNING: 2,
    Severity.INDETERMINATE: 1,
    Severity.UNKNOWN: 0,
}


class AlarmType(OpenEnum):
    """X.733 and X.736 event type, and the further ones of the alarm catalogue."""

    OTHER = "other"
    COMMUNICATION = "communication"
    QUALITY_OF_SERVICE = "quality-of-service"
    PROCESSING_ERROR = "processing-error"
    EQUIPMENT = "equipment"
    ENVIRONMENTAL = "environmental"
    INTEGRITY_VIOLATION = "integrity-violation"
    OPERATIONAL_VIOLATION = "operational-violation"
    PHYSICAL_VIOLATION = "physical-violation"
    SECURITY_VIOLATION = "security-service-or-mechanism-violation"
    TIME_DOMAIN_VIOLATION = "time-domain-violation"
    DEPLOYMENT_IN_PROGRESS = "deployment-in-progress"
    UNKNOWN = "unknown"


class Trend(OpenEnum):
    """X.733 trend indication: how the severity moved with the last change."""

    MORE_SEVERE = "more-severe"
    LESS_SEVERE = "less-severe"
    NO_CHANGE = "no-change"
    UNKNOWN = "unknown"


class ProbableCause(enum.StrEnum):
    """X.733 and X.736 probable cause; the place of a member is its number in other systems."""

    UNKNOWN = "unknown"
    ADAPTOR_ERROR = "adaptor-error"
    APPLICATION_SUBSYSTEM_FAILURE = "application-subsystem-failure"
    BANDWIDTH_REDUCED = "bandwidth-reduced"
    CALL_ESTABLISHMENT_ERROR = "call-establishment-error"
    COMMUNICATION_PROTOCOL_ERROR = "communication-protocol-error"
    COMMUNICATION_SUBSYSTEM_FAILURE = "communication-subsystem-failure"
    CONFIGURATION_OR_CUSTOMIZATION_ERROR = "configuration-or-customization-error"
    CONGESTION = "congestion"
    CORRUPT_DATA = "corrupt-data"
    CPU_CYCLES_LIMIT_EXCEEDED = "cpu-cycles-limit-exceeded"
    DATASET_OR_MODEM_ERROR = "dataset-or-modem-error"
    DEGRADED_SIGNAL = "degraded-signal"
    DTE_DCE_INTERFACE_ERROR = "dte-dce-interface-error"
    ENCLOSURE_DOOR_OPEN = "enclosure-door-open"
    EQUIPMENT_MALFUNCTION = "equipment-malfunction"
    EXCESSIVE_VIBRATION = "excessive-vibration"
    FILE_ERROR = "file-error"
    FIRE_DETECTED = "fire-detected"
    FLOOD_DETECTED = "flood-detected"
    FRAMING_ERROR = "framing-error"
    HEATING_VENTILATION_COOLING_SYSTEM_PROBLEM = "heating-ventilation-cooling-system-problem"
    HUMIDITY_UNACCEPTABLE = "humidity-unacceptable"
    IO_DEVICE_ERROR = "io-device-error"
    INPUT_DEVICE_ERROR = "input-device-error"
    LAN_ERROR = "lan-error"
    LEAK_DETECTED = "leak-detected"
    LOCAL_NODE_TRANSMISSION_ERROR = "local-node-transmission-error"
    LOSS_OF_FRAME = "loss-of-frame"
    LOSS_OF_SIGNAL = "loss-of-signal"
    MATERIAL_SUPPLY_EXHAUSTED = "material-supply-exhausted"
    MULTIPLEXER_PROBLEM = "multiplexer-problem"
    OUT_OF_MEMORY = "out-of-memory"
    OUTPUT_DEVICE_ERROR = "output-device-error"
    PERFORMANCE_DEGRADED = "performance-degraded"
    POWER_PROBLEM = "power-problem"
    PROCESSOR_PROBLEM = "processor-problem"
    PUMP_FAILURE = "pump-failure"
    QUEUE_SIZE_EXCEEDED = "queue-size-exceeded"
    RECEIVE_FAILURE = "receive-failure"
    RECEIVER_FAILURE = "receiver-failure"
    REMOTE_NODE_TRANSMISSION_ERROR = "remote-node-transmission-error"
    RESOURCE_AT_OR_NEARING_CAPACITY = "resource-at-or-nearing-capacity"
    RESPONSE_TIME_EXCESSIVE = "response-time-excessive"
    RETRANSMISSION_RATE_EXCESSIVE = "retransmission-rate-excessive"
    SOFTWARE_ERROR = "software-error"
    SOFTWARE_PROGRAM_ABNORMALLY_TERMINATED = "software-program-abnormally-terminated"
    SOFTWARE_PROGRAM_ERROR = "software-program-error"
    STORAGE_CAPACITY_PROBLEM = "storage-capacity-problem"
    TEMPERATURE_UNACCEPTABLE = "temperature-unacceptable"
    THRESHOLD_CROSSED = "threshold-crossed"
    TIMING_PROBLEM = "timing-problem"
    TOXIC_LEAK_DETECTED = "toxic-leak-detected"
    TRANSMIT_FAILURE = "transmit-failure"
    TRANSMITTER_FAILURE = "transmitter-failure"
    UNDERLYING_RESOURCE_UNAVAILABLE = "underlying-resource-unavailable"
    VERSION_MISMATCH = "version-mismatch"
    DUPLICATE_INFORMATION = "duplicate-information"
    INFORMATION_MISSING = "information-missing"
    INFORMATION_MODIFICATION_DETECTED = "information-modification-detected"
    INFORMATION_OUT_OF_SEQUENCE = "information-out-of-sequence"
    UNEXPECTED_INFORMATION = "unexpected-information"
    DENIAL_OF_SERVICE = "denial-of-service"
    OUT_OF_SERVICE = "out-of-service"
    PROCEDURAL_ERROR = "procedural-error"
    UNSPECIFIED_REASON = "unspecified-reason"
    CABLE_TAMPER = "cable-tamper"
    INTRUSION_DETECTION = "intrusion-detection"
    AUTHENTICATION_FAILURE = "authentication-failure"
    BREACH_OF_CONFIDENTIALITY = "breach-of-confidentiality"
    NON_REPUDIATION_FAILURE = "non-repudiation-failure"
    UNAUTHORIZED_ACCESS_ATTEMPT = "unauthorized-access-attempt"
    DELAYED_INFORMATION = "delayed-information"
    KEY_EXPIRED = "key-expired"
    OUT_OF_HOURS_ACTIVITY = "out-of-hours-activity"
    CONFIGURATION_OUT_OF_DATE = "configuration-out-of-date"
    CONFIGURATION_PROVISIONING_REQUIRED = "configuration-provisioning-required"
    CERTIFICATE_EXPIRATION = "certificate-expiration"


CAUSE_NUMBERS = {cause: number for number, cause in enumerate(ProbableCause)}
