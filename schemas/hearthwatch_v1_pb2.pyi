from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Lane(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LANE_UNSPECIFIED: _ClassVar[Lane]
    LANE_URGENT: _ClassVar[Lane]
    LANE_MINUTES: _ClassVar[Lane]
    LANE_BULK: _ClassVar[Lane]

class Codec(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CODEC_UNSPECIFIED: _ClassVar[Codec]
    CODEC_NONE: _ClassVar[Codec]
    CODEC_ZSTD: _ClassVar[Codec]

class GapReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GAP_REASON_UNSPECIFIED: _ClassVar[GapReason]
    GAP_REASON_OUTBOX_FULL: _ClassVar[GapReason]
    GAP_REASON_CORRUPT_ROW: _ClassVar[GapReason]
    GAP_REASON_DISK_ERROR: _ClassVar[GapReason]
    GAP_REASON_POWER_LOSS: _ClassVar[GapReason]
    GAP_REASON_FLOOD: _ClassVar[GapReason]

class EpochReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EPOCH_REASON_UNSPECIFIED: _ClassVar[EpochReason]
    EPOCH_REASON_NEW_OUTBOX: _ClassVar[EpochReason]
    EPOCH_REASON_RESTORED_DISK: _ClassVar[EpochReason]
    EPOCH_REASON_CORRUPT_OUTBOX: _ClassVar[EpochReason]
    EPOCH_REASON_UNWITNESSED: _ClassVar[EpochReason]
    EPOCH_REASON_EMERGENCY: _ClassVar[EpochReason]

class ArmingMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARMING_MODE_UNSPECIFIED: _ClassVar[ArmingMode]
    ARMING_MODE_DISARMED: _ClassVar[ArmingMode]
    ARMING_MODE_STAY: _ClassVar[ArmingMode]
    ARMING_MODE_AWAY: _ClassVar[ArmingMode]

class ArmingPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARMING_PHASE_UNSPECIFIED: _ClassVar[ArmingPhase]
    ARMING_PHASE_SET: _ClassVar[ArmingPhase]
    ARMING_PHASE_EXIT_DELAY: _ClassVar[ArmingPhase]
    ARMING_PHASE_ENTRY_DELAY: _ClassVar[ArmingPhase]
    ARMING_PHASE_ABORT_WINDOW: _ClassVar[ArmingPhase]
    ARMING_PHASE_ALARM: _ClassVar[ArmingPhase]

class SensorKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SENSOR_KIND_UNSPECIFIED: _ClassVar[SensorKind]
    SENSOR_KIND_MOTION: _ClassVar[SensorKind]
    SENSOR_KIND_SOUND: _ClassVar[SensorKind]
    SENSOR_KIND_AIR: _ClassVar[SensorKind]
    SENSOR_KIND_CONTACT: _ClassVar[SensorKind]
    SENSOR_KIND_SMOKE: _ClassVar[SensorKind]
    SENSOR_KIND_BUTTON: _ClassVar[SensorKind]
    SENSOR_KIND_GATEWAY: _ClassVar[SensorKind]

class Qualifier(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUALIFIER_UNSPECIFIED: _ClassVar[Qualifier]
    QUALIFIER_NEW: _ClassVar[Qualifier]
    QUALIFIER_RESTORE: _ClassVar[Qualifier]
    QUALIFIER_STATUS: _ClassVar[Qualifier]

class BulkArray(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BULK_ARRAY_UNSPECIFIED: _ClassVar[BulkArray]
    BULK_ARRAY_READINGS: _ClassVar[BulkArray]
    BULK_ARRAY_PIR: _ClassVar[BulkArray]
    BULK_ARRAY_LOG_MEL: _ClassVar[BulkArray]
    BULK_ARRAY_LEVELS: _ClassVar[BulkArray]
    BULK_ARRAY_AIR: _ClassVar[BulkArray]
    BULK_ARRAY_ACCEL: _ClassVar[BulkArray]

class CommandResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMMAND_RESULT_UNSPECIFIED: _ClassVar[CommandResult]
    COMMAND_RESULT_DONE: _ClassVar[CommandResult]
    COMMAND_RESULT_REFUSED: _ClassVar[CommandResult]
    COMMAND_RESULT_EXPIRED: _ClassVar[CommandResult]
LANE_UNSPECIFIED: Lane
LANE_URGENT: Lane
LANE_MINUTES: Lane
LANE_BULK: Lane
CODEC_UNSPECIFIED: Codec
CODEC_NONE: Codec
CODEC_ZSTD: Codec
GAP_REASON_UNSPECIFIED: GapReason
GAP_REASON_OUTBOX_FULL: GapReason
GAP_REASON_CORRUPT_ROW: GapReason
GAP_REASON_DISK_ERROR: GapReason
GAP_REASON_POWER_LOSS: GapReason
GAP_REASON_FLOOD: GapReason
EPOCH_REASON_UNSPECIFIED: EpochReason
EPOCH_REASON_NEW_OUTBOX: EpochReason
EPOCH_REASON_RESTORED_DISK: EpochReason
EPOCH_REASON_CORRUPT_OUTBOX: EpochReason
EPOCH_REASON_UNWITNESSED: EpochReason
EPOCH_REASON_EMERGENCY: EpochReason
ARMING_MODE_UNSPECIFIED: ArmingMode
ARMING_MODE_DISARMED: ArmingMode
ARMING_MODE_STAY: ArmingMode
ARMING_MODE_AWAY: ArmingMode
ARMING_PHASE_UNSPECIFIED: ArmingPhase
ARMING_PHASE_SET: ArmingPhase
ARMING_PHASE_EXIT_DELAY: ArmingPhase
ARMING_PHASE_ENTRY_DELAY: ArmingPhase
ARMING_PHASE_ABORT_WINDOW: ArmingPhase
ARMING_PHASE_ALARM: ArmingPhase
SENSOR_KIND_UNSPECIFIED: SensorKind
SENSOR_KIND_MOTION: SensorKind
SENSOR_KIND_SOUND: SensorKind
SENSOR_KIND_AIR: SensorKind
SENSOR_KIND_CONTACT: SensorKind
SENSOR_KIND_SMOKE: SensorKind
SENSOR_KIND_BUTTON: SensorKind
SENSOR_KIND_GATEWAY: SensorKind
QUALIFIER_UNSPECIFIED: Qualifier
QUALIFIER_NEW: Qualifier
QUALIFIER_RESTORE: Qualifier
QUALIFIER_STATUS: Qualifier
BULK_ARRAY_UNSPECIFIED: BulkArray
BULK_ARRAY_READINGS: BulkArray
BULK_ARRAY_PIR: BulkArray
BULK_ARRAY_LOG_MEL: BulkArray
BULK_ARRAY_LEVELS: BulkArray
BULK_ARRAY_AIR: BulkArray
BULK_ARRAY_ACCEL: BulkArray
COMMAND_RESULT_UNSPECIFIED: CommandResult
COMMAND_RESULT_DONE: CommandResult
COMMAND_RESULT_REFUSED: CommandResult
COMMAND_RESULT_EXPIRED: CommandResult

class Envelope(_message.Message):
    __slots__ = ("header", "body", "signature", "certificate", "intermediates", "packed")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    INTERMEDIATES_FIELD_NUMBER: _ClassVar[int]
    PACKED_FIELD_NUMBER: _ClassVar[int]
    header: bytes
    body: bytes
    signature: bytes
    certificate: bytes
    intermediates: _containers.RepeatedScalarFieldContainer[bytes]
    packed: bytes
    def __init__(self, header: _Optional[bytes] = ..., body: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., certificate: _Optional[bytes] = ..., intermediates: _Optional[_Iterable[bytes]] = ..., packed: _Optional[bytes] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("schema_version", "home_id", "gateway_id", "epoch", "seq", "lane", "created_us", "clock_unset", "codec", "body_size", "oldest_unsent_seq", "head_seq", "gaps", "arming", "epoch_start", "software_version", "dictionary_id", "synthetic")
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    HOME_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    CREATED_US_FIELD_NUMBER: _ClassVar[int]
    CLOCK_UNSET_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    BODY_SIZE_FIELD_NUMBER: _ClassVar[int]
    OLDEST_UNSENT_SEQ_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    GAPS_FIELD_NUMBER: _ClassVar[int]
    ARMING_FIELD_NUMBER: _ClassVar[int]
    EPOCH_START_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_VERSION_FIELD_NUMBER: _ClassVar[int]
    DICTIONARY_ID_FIELD_NUMBER: _ClassVar[int]
    SYNTHETIC_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    home_id: str
    gateway_id: str
    epoch: bytes
    seq: int
    lane: Lane
    created_us: int
    clock_unset: bool
    codec: Codec
    body_size: int
    oldest_unsent_seq: int
    head_seq: int
    gaps: _containers.RepeatedCompositeFieldContainer[Gap]
    arming: Arming
    epoch_start: EpochStart
    software_version: str
    dictionary_id: int
    synthetic: bool
    def __init__(self, schema_version: _Optional[int] = ..., home_id: _Optional[str] = ..., gateway_id: _Optional[str] = ..., epoch: _Optional[bytes] = ..., seq: _Optional[int] = ..., lane: _Optional[_Union[Lane, str]] = ..., created_us: _Optional[int] = ..., clock_unset: _Optional[bool] = ..., codec: _Optional[_Union[Codec, str]] = ..., body_size: _Optional[int] = ..., oldest_unsent_seq: _Optional[int] = ..., head_seq: _Optional[int] = ..., gaps: _Optional[_Iterable[_Union[Gap, _Mapping]]] = ..., arming: _Optional[_Union[Arming, _Mapping]] = ..., epoch_start: _Optional[_Union[EpochStart, _Mapping]] = ..., software_version: _Optional[str] = ..., dictionary_id: _Optional[int] = ..., synthetic: _Optional[bool] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("epoch", "first_seq", "last_seq", "reason", "first_us", "last_us")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIRST_US_FIELD_NUMBER: _ClassVar[int]
    LAST_US_FIELD_NUMBER: _ClassVar[int]
    epoch: bytes
    first_seq: int
    last_seq: int
    reason: GapReason
    first_us: int
    last_us: int
    def __init__(self, epoch: _Optional[bytes] = ..., first_seq: _Optional[int] = ..., last_seq: _Optional[int] = ..., reason: _Optional[_Union[GapReason, str]] = ..., first_us: _Optional[int] = ..., last_us: _Optional[int] = ...) -> None: ...

class EpochStart(_message.Message):
    __slots__ = ("previous_epoch", "previous_head_seq", "reason")
    PREVIOUS_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    previous_epoch: bytes
    previous_head_seq: int
    reason: EpochReason
    def __init__(self, previous_epoch: _Optional[bytes] = ..., previous_head_seq: _Optional[int] = ..., reason: _Optional[_Union[EpochReason, str]] = ...) -> None: ...

class Arming(_message.Message):
    __slots__ = ("mode", "phase", "since_us", "bypassed_sensor_ids")
    MODE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    SINCE_US_FIELD_NUMBER: _ClassVar[int]
    BYPASSED_SENSOR_IDS_FIELD_NUMBER: _ClassVar[int]
    mode: ArmingMode
    phase: ArmingPhase
    since_us: int
    bypassed_sensor_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, mode: _Optional[_Union[ArmingMode, str]] = ..., phase: _Optional[_Union[ArmingPhase, str]] = ..., since_us: _Optional[int] = ..., bypassed_sensor_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class Body(_message.Message):
    __slots__ = ("readings", "events", "features", "bulk", "command_receipts", "features_minute_us")
    READINGS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    BULK_FIELD_NUMBER: _ClassVar[int]
    COMMAND_RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_MINUTE_US_FIELD_NUMBER: _ClassVar[int]
    readings: _containers.RepeatedCompositeFieldContainer[Reading]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    features: _containers.RepeatedCompositeFieldContainer[Features]
    bulk: _containers.RepeatedCompositeFieldContainer[BulkReference]
    command_receipts: _containers.RepeatedCompositeFieldContainer[CommandReceipt]
    features_minute_us: int
    def __init__(self, readings: _Optional[_Iterable[_Union[Reading, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., features: _Optional[_Iterable[_Union[Features, _Mapping]]] = ..., bulk: _Optional[_Iterable[_Union[BulkReference, _Mapping]]] = ..., command_receipts: _Optional[_Iterable[_Union[CommandReceipt, _Mapping]]] = ..., features_minute_us: _Optional[int] = ...) -> None: ...

class Reading(_message.Message):
    __slots__ = ("reading_id", "sensor_id", "kind", "room", "minute_us", "seconds_present", "battery_percent", "model", "motion", "sound", "air", "contact")
    READING_ID_FIELD_NUMBER: _ClassVar[int]
    SENSOR_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    MINUTE_US_FIELD_NUMBER: _ClassVar[int]
    SECONDS_PRESENT_FIELD_NUMBER: _ClassVar[int]
    BATTERY_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MOTION_FIELD_NUMBER: _ClassVar[int]
    SOUND_FIELD_NUMBER: _ClassVar[int]
    AIR_FIELD_NUMBER: _ClassVar[int]
    CONTACT_FIELD_NUMBER: _ClassVar[int]
    reading_id: bytes
    sensor_id: str
    kind: SensorKind
    room: str
    minute_us: int
    seconds_present: int
    battery_percent: int
    model: str
    motion: MotionPayload
    sound: SoundPayload
    air: AirPayload
    contact: ContactPayload
    def __init__(self, reading_id: _Optional[bytes] = ..., sensor_id: _Optional[str] = ..., kind: _Optional[_Union[SensorKind, str]] = ..., room: _Optional[str] = ..., minute_us: _Optional[int] = ..., seconds_present: _Optional[int] = ..., battery_percent: _Optional[int] = ..., model: _Optional[str] = ..., motion: _Optional[_Union[MotionPayload, _Mapping]] = ..., sound: _Optional[_Union[SoundPayload, _Mapping]] = ..., air: _Optional[_Union[AirPayload, _Mapping]] = ..., contact: _Optional[_Union[ContactPayload, _Mapping]] = ...) -> None: ...

class MotionPayload(_message.Message):
    __slots__ = ("pir", "occupied")
    PIR_FIELD_NUMBER: _ClassVar[int]
    OCCUPIED_FIELD_NUMBER: _ClassVar[int]
    pir: bytes
    occupied: bool
    def __init__(self, pir: _Optional[bytes] = ..., occupied: _Optional[bool] = ...) -> None: ...

class SoundPayload(_message.Message):
    __slots__ = ("log_mel", "levels", "loudest_ms")
    LOG_MEL_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    LOUDEST_MS_FIELD_NUMBER: _ClassVar[int]
    log_mel: bytes
    levels: bytes
    loudest_ms: int
    def __init__(self, log_mel: _Optional[bytes] = ..., levels: _Optional[bytes] = ..., loudest_ms: _Optional[int] = ...) -> None: ...

class AirPayload(_message.Message):
    __slots__ = ("samples",)
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    samples: bytes
    def __init__(self, samples: _Optional[bytes] = ...) -> None: ...

class ContactPayload(_message.Message):
    __slots__ = ("open", "changes_ms", "accel")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    CHANGES_MS_FIELD_NUMBER: _ClassVar[int]
    ACCEL_FIELD_NUMBER: _ClassVar[int]
    open: bool
    changes_ms: _containers.RepeatedScalarFieldContainer[int]
    accel: bytes
    def __init__(self, open: _Optional[bool] = ..., changes_ms: _Optional[_Iterable[int]] = ..., accel: _Optional[bytes] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("event_id", "code", "qualifier", "sensor_id", "kind", "room", "occurred_us", "measurements", "series", "rule_version", "restores_event_id", "user")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    QUALIFIER_FIELD_NUMBER: _ClassVar[int]
    SENSOR_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_US_FIELD_NUMBER: _ClassVar[int]
    MEASUREMENTS_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RESTORES_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    event_id: bytes
    code: int
    qualifier: Qualifier
    sensor_id: str
    kind: SensorKind
    room: str
    occurred_us: int
    measurements: _containers.RepeatedCompositeFieldContainer[Measurement]
    series: _containers.RepeatedCompositeFieldContainer[Series]
    rule_version: str
    restores_event_id: bytes
    user: str
    def __init__(self, event_id: _Optional[bytes] = ..., code: _Optional[int] = ..., qualifier: _Optional[_Union[Qualifier, str]] = ..., sensor_id: _Optional[str] = ..., kind: _Optional[_Union[SensorKind, str]] = ..., room: _Optional[str] = ..., occurred_us: _Optional[int] = ..., measurements: _Optional[_Iterable[_Union[Measurement, _Mapping]]] = ..., series: _Optional[_Iterable[_Union[Series, _Mapping]]] = ..., rule_version: _Optional[str] = ..., restores_event_id: _Optional[bytes] = ..., user: _Optional[str] = ...) -> None: ...

class Measurement(_message.Message):
    __slots__ = ("name", "value", "unit", "limit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    unit: str
    limit: float
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., unit: _Optional[str] = ..., limit: _Optional[float] = ...) -> None: ...

class Series(_message.Message):
    __slots__ = ("sensor_id", "kind", "room", "quantity", "unit", "start_us", "period_us", "values")
    SENSOR_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    START_US_FIELD_NUMBER: _ClassVar[int]
    PERIOD_US_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    sensor_id: str
    kind: SensorKind
    room: str
    quantity: str
    unit: str
    start_us: int
    period_us: int
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, sensor_id: _Optional[str] = ..., kind: _Optional[_Union[SensorKind, str]] = ..., room: _Optional[str] = ..., quantity: _Optional[str] = ..., unit: _Optional[str] = ..., start_us: _Optional[int] = ..., period_us: _Optional[int] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class Features(_message.Message):
    __slots__ = ("reading_id", "sensor_id", "kind", "minute_us", "feature_version", "values", "room", "seconds_missing", "battery_percent", "steps", "summary", "model", "log_mel")
    READING_ID_FIELD_NUMBER: _ClassVar[int]
    SENSOR_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MINUTE_US_FIELD_NUMBER: _ClassVar[int]
    FEATURE_VERSION_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SECONDS_MISSING_FIELD_NUMBER: _ClassVar[int]
    BATTERY_PERCENT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LOG_MEL_FIELD_NUMBER: _ClassVar[int]
    reading_id: bytes
    sensor_id: str
    kind: SensorKind
    minute_us: int
    feature_version: int
    values: _containers.RepeatedScalarFieldContainer[float]
    room: str
    seconds_missing: int
    battery_percent: int
    steps: _containers.RepeatedScalarFieldContainer[int]
    summary: _containers.RepeatedScalarFieldContainer[int]
    model: str
    log_mel: bytes
    def __init__(self, reading_id: _Optional[bytes] = ..., sensor_id: _Optional[str] = ..., kind: _Optional[_Union[SensorKind, str]] = ..., minute_us: _Optional[int] = ..., feature_version: _Optional[int] = ..., values: _Optional[_Iterable[float]] = ..., room: _Optional[str] = ..., seconds_missing: _Optional[int] = ..., battery_percent: _Optional[int] = ..., steps: _Optional[_Iterable[int]] = ..., summary: _Optional[_Iterable[int]] = ..., model: _Optional[str] = ..., log_mel: _Optional[bytes] = ...) -> None: ...

class BulkReference(_message.Message):
    __slots__ = ("object", "sha256", "size", "first_minute_us", "last_minute_us", "readings")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    FIRST_MINUTE_US_FIELD_NUMBER: _ClassVar[int]
    LAST_MINUTE_US_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    object: str
    sha256: bytes
    size: int
    first_minute_us: int
    last_minute_us: int
    readings: int
    def __init__(self, object: _Optional[str] = ..., sha256: _Optional[bytes] = ..., size: _Optional[int] = ..., first_minute_us: _Optional[int] = ..., last_minute_us: _Optional[int] = ..., readings: _Optional[int] = ...) -> None: ...

class BulkObject(_message.Message):
    __slots__ = ("version", "home_id", "gateway_id", "first_minute_us", "last_minute_us", "readings", "streams")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HOME_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_MINUTE_US_FIELD_NUMBER: _ClassVar[int]
    LAST_MINUTE_US_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    version: int
    home_id: str
    gateway_id: str
    first_minute_us: int
    last_minute_us: int
    readings: int
    streams: _containers.RepeatedCompositeFieldContainer[BulkStream]
    def __init__(self, version: _Optional[int] = ..., home_id: _Optional[str] = ..., gateway_id: _Optional[str] = ..., first_minute_us: _Optional[int] = ..., last_minute_us: _Optional[int] = ..., readings: _Optional[int] = ..., streams: _Optional[_Iterable[_Union[BulkStream, _Mapping]]] = ...) -> None: ...

class BulkStream(_message.Message):
    __slots__ = ("array", "size", "blocks")
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    array: BulkArray
    size: int
    blocks: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, array: _Optional[_Union[BulkArray, str]] = ..., size: _Optional[int] = ..., blocks: _Optional[_Iterable[bytes]] = ...) -> None: ...

class CommandReceipt(_message.Message):
    __slots__ = ("command_id", "result", "detail")
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    command_id: bytes
    result: CommandResult
    detail: str
    def __init__(self, command_id: _Optional[bytes] = ..., result: _Optional[_Union[CommandResult, str]] = ..., detail: _Optional[str] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("command_id", "gateway_id", "counter", "expires_us", "set_uplink", "request_payloads", "set_arming", "acknowledged")
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_ID_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_US_FIELD_NUMBER: _ClassVar[int]
    SET_UPLINK_FIELD_NUMBER: _ClassVar[int]
    REQUEST_PAYLOADS_FIELD_NUMBER: _ClassVar[int]
    SET_ARMING_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    command_id: bytes
    gateway_id: str
    counter: int
    expires_us: int
    set_uplink: SetUplink
    request_payloads: RequestPayloads
    set_arming: SetArming
    acknowledged: Acknowledged
    def __init__(self, command_id: _Optional[bytes] = ..., gateway_id: _Optional[str] = ..., counter: _Optional[int] = ..., expires_us: _Optional[int] = ..., set_uplink: _Optional[_Union[SetUplink, _Mapping]] = ..., request_payloads: _Optional[_Union[RequestPayloads, _Mapping]] = ..., set_arming: _Optional[_Union[SetArming, _Mapping]] = ..., acknowledged: _Optional[_Union[Acknowledged, _Mapping]] = ...) -> None: ...

class SetUplink(_message.Message):
    __slots__ = ("adaptive",)
    ADAPTIVE_FIELD_NUMBER: _ClassVar[int]
    adaptive: bool
    def __init__(self, adaptive: _Optional[bool] = ...) -> None: ...

class RequestPayloads(_message.Message):
    __slots__ = ("until_us",)
    UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    until_us: int
    def __init__(self, until_us: _Optional[int] = ...) -> None: ...

class SetArming(_message.Message):
    __slots__ = ("mode", "user")
    MODE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    mode: ArmingMode
    user: str
    def __init__(self, mode: _Optional[_Union[ArmingMode, str]] = ..., user: _Optional[str] = ...) -> None: ...

class Acknowledged(_message.Message):
    __slots__ = ("epoch", "contiguous_seq")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CONTIGUOUS_SEQ_FIELD_NUMBER: _ClassVar[int]
    epoch: bytes
    contiguous_seq: int
    def __init__(self, epoch: _Optional[bytes] = ..., contiguous_seq: _Optional[int] = ...) -> None: ...

class SensorFrame(_message.Message):
    __slots__ = ("sensor_id", "kind", "start_us", "battery_percent", "motion", "sound", "air", "contact")
    SENSOR_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    START_US_FIELD_NUMBER: _ClassVar[int]
    BATTERY_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MOTION_FIELD_NUMBER: _ClassVar[int]
    SOUND_FIELD_NUMBER: _ClassVar[int]
    AIR_FIELD_NUMBER: _ClassVar[int]
    CONTACT_FIELD_NUMBER: _ClassVar[int]
    sensor_id: str
    kind: SensorKind
    start_us: int
    battery_percent: int
    motion: MotionPayload
    sound: SoundPayload
    air: AirSecond
    contact: ContactPayload
    def __init__(self, sensor_id: _Optional[str] = ..., kind: _Optional[_Union[SensorKind, str]] = ..., start_us: _Optional[int] = ..., battery_percent: _Optional[int] = ..., motion: _Optional[_Union[MotionPayload, _Mapping]] = ..., sound: _Optional[_Union[SoundPayload, _Mapping]] = ..., air: _Optional[_Union[AirSecond, _Mapping]] = ..., contact: _Optional[_Union[ContactPayload, _Mapping]] = ...) -> None: ...

class AirSecond(_message.Message):
    __slots__ = ("co2_ppm", "co_ppm", "voc_index", "temperature_c", "humidity_pct", "pressure_hpa")
    CO2_PPM_FIELD_NUMBER: _ClassVar[int]
    CO_PPM_FIELD_NUMBER: _ClassVar[int]
    VOC_INDEX_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_C_FIELD_NUMBER: _ClassVar[int]
    HUMIDITY_PCT_FIELD_NUMBER: _ClassVar[int]
    PRESSURE_HPA_FIELD_NUMBER: _ClassVar[int]
    co2_ppm: float
    co_ppm: float
    voc_index: float
    temperature_c: float
    humidity_pct: float
    pressure_hpa: float
    def __init__(self, co2_ppm: _Optional[float] = ..., co_ppm: _Optional[float] = ..., voc_index: _Optional[float] = ..., temperature_c: _Optional[float] = ..., humidity_pct: _Optional[float] = ..., pressure_hpa: _Optional[float] = ...) -> None: ...
