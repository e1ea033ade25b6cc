from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CallStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CALL_STATUS_UNSPECIFIED: _ClassVar[CallStatus]
    CALL_STATUS_OK: _ClassVar[CallStatus]
    CALL_STATUS_TOOL_ERROR: _ClassVar[CallStatus]
    CALL_STATUS_INVALID_CALL: _ClassVar[CallStatus]
    CALL_STATUS_TIMEOUT: _ClassVar[CallStatus]
    CALL_STATUS_MEMORY: _ClassVar[CallStatus]
    CALL_STATUS_OUTPUT_LIMIT: _ClassVar[CallStatus]
    CALL_STATUS_KILLED: _ClassVar[CallStatus]
    CALL_STATUS_INFRASTRUCTURE: _ClassVar[CallStatus]
CALL_STATUS_UNSPECIFIED: CallStatus
CALL_STATUS_OK: CallStatus
CALL_STATUS_TOOL_ERROR: CallStatus
CALL_STATUS_INVALID_CALL: CallStatus
CALL_STATUS_TIMEOUT: CallStatus
CALL_STATUS_MEMORY: CallStatus
CALL_STATUS_OUTPUT_LIMIT: CallStatus
CALL_STATUS_KILLED: CallStatus
CALL_STATUS_INFRASTRUCTURE: CallStatus

class SourceCall(_message.Message):
    __slots__ = ("source", "function")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    source: str
    function: str
    def __init__(self, source: _Optional[str] = ..., function: _Optional[str] = ...) -> None: ...

class ExpressionCall(_message.Message):
    __slots__ = ("env", "expression")
    ENV_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    env: str
    expression: str
    def __init__(self, env: _Optional[str] = ..., expression: _Optional[str] = ...) -> None: ...

class ToolCall(_message.Message):
    __slots__ = ("tool", "source", "expression", "arguments_json", "timeout_s")
    TOOL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    tool: str
    source: SourceCall
    expression: ExpressionCall
    arguments_json: str
    timeout_s: float
    def __init__(self, tool: _Optional[str] = ..., source: _Optional[_Union[SourceCall, _Mapping]] = ..., expression: _Optional[_Union[ExpressionCall, _Mapping]] = ..., arguments_json: _Optional[str] = ..., timeout_s: _Optional[float] = ...) -> None: ...

class CallResult(_message.Message):
    __slots__ = ("status", "value_json", "stdout", "stderr", "error_type", "error_message", "duration_ms", "truncated", "stdout_truncated", "stderr_truncated", "peak_memory_bytes")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VALUE_JSON_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    ERROR_TYPE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    STDOUT_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    STDERR_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    status: CallStatus
    value_json: str
    stdout: str
    stderr: str
    error_type: str
    error_message: str
    duration_ms: float
    truncated: bool
    stdout_truncated: bool
    stderr_truncated: bool
    peak_memory_bytes: int
    def __init__(self, status: _Optional[_Union[CallStatus, str]] = ..., value_json: _Optional[str] = ..., stdout: _Optional[str] = ..., stderr: _Optional[str] = ..., error_type: _Optional[str] = ..., error_message: _Optional[str] = ..., duration_ms: _Optional[float] = ..., truncated: _Optional[bool] = ..., stdout_truncated: _Optional[bool] = ..., stderr_truncated: _Optional[bool] = ..., peak_memory_bytes: _Optional[int] = ...) -> None: ...

class ExecuteRequest(_message.Message):
    __slots__ = ("call",)
    CALL_FIELD_NUMBER: _ClassVar[int]
    call: ToolCall
    def __init__(self, call: _Optional[_Union[ToolCall, _Mapping]] = ...) -> None: ...

class ExecuteResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: CallResult
    def __init__(self, result: _Optional[_Union[CallResult, _Mapping]] = ...) -> None: ...

class ExecuteBatchRequest(_message.Message):
    __slots__ = ("calls",)
    CALLS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[ToolCall]
    def __init__(self, calls: _Optional[_Iterable[_Union[ToolCall, _Mapping]]] = ...) -> None: ...

class ExecuteBatchResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[CallResult]
    def __init__(self, results: _Optional[_Iterable[_Union[CallResult, _Mapping]]] = ...) -> None: ...

class ExecuteStreamRequest(_message.Message):
    __slots__ = ("calls",)
    CALLS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[ToolCall]
    def __init__(self, calls: _Optional[_Iterable[_Union[ToolCall, _Mapping]]] = ...) -> None: ...

class ExecuteStreamResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[IndexedResult]
    def __init__(self, results: _Optional[_Iterable[_Union[IndexedResult, _Mapping]]] = ...) -> None: ...

class IndexedResult(_message.Message):
    __slots__ = ("index", "result")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    index: int
    result: CallResult
    def __init__(self, index: _Optional[int] = ..., result: _Optional[_Union[CallResult, _Mapping]] = ...) -> None: ...

class ListToolsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Tool(_message.Message):
    __slots__ = ("name", "description", "parameters_json", "timeout_s", "id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_JSON_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    parameters_json: str
    timeout_s: float
    id: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., parameters_json: _Optional[str] = ..., timeout_s: _Optional[float] = ..., id: _Optional[str] = ...) -> None: ...

class ListToolsResponse(_message.Message):
    __slots__ = ("tools",)
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    tools: _containers.RepeatedCompositeFieldContainer[Tool]
    def __init__(self, tools: _Optional[_Iterable[_Union[Tool, _Mapping]]] = ...) -> None: ...
