"""Every diagnostic of the compiler: its stable code, severity and title. Each has a page in docs/diagnostics.

Readers, passes and rules name a finding by the constant here; what it says on an occasion stands where it is found.
Numbers are never reused: 0xx files and OpenAPI, 10x extensions, 11x what this release cannot do yet, 12x security,
13x endpoints, 14x routes, 15x policies, 16x users' code, 17x the project's folder, 18x subscriptions.
"""

from __future__ import annotations

from typing import NamedTuple

from microgate.diagnostics import Severity

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


class Code(NamedTuple):
    """One kind of finding."""

    id: str
    severity: Severity
    title: str


FILE_UNREADABLE = Code("MG001", _ERROR, "a file cannot be read")
FILE_ENCODING = Code("MG002", _ERROR, "a file is not clean text")
YAML_SYNTAX = Code("MG003", _ERROR, "a file is not well-formed YAML")
JSON_SYNTAX = Code("MG004", _ERROR, "a file is not well-formed JSON")
DUPLICATE_KEY = Code("MG005", _ERROR, "a key stands twice in one mapping")
TOO_DEEP = Code("MG006", _ERROR, "values are nested too deeply")
ALIAS = Code("MG007", _ERROR, "a YAML alias cannot be followed")
KEY_NOT_TEXT = Code("MG008", _ERROR, "a key is not text")
TAG = Code("MG009", _ERROR, "a YAML tag is not supported")
NUMBER_TOO_LONG = Code("MG010", _ERROR, "a number is too long")
SEVERAL_DOCUMENTS = Code("MG011", _ERROR, "a file holds more than one document")
FILE_TOO_LARGE = Code("MG012", _ERROR, "a file is too large")
FILE_EMPTY = Code("MG013", _ERROR, "a file is empty")

NOT_OPENAPI = Code("MG020", _ERROR, "a file is not an OpenAPI description")
OPENAPI_VERSION = Code("MG021", _ERROR, "the OpenAPI version is not supported")
PROPERTY_MISSING = Code("MG022", _ERROR, "a required property is missing")
WRONG_TYPE = Code("MG023", _ERROR, "a value has the wrong type")
NO_OPERATIONS = Code("MG024", _ERROR, "a description has no operations")
PATH_TEMPLATE = Code("MG025", _ERROR, "a path is malformed")
OPERATION_ID_TWICE = Code("MG026", _WARNING, "an operationId is used twice")
METHOD_UNKNOWN = Code("MG027", _ERROR, "a method cannot be served")
METHOD_IGNORED = Code("MG028", _WARNING, "an operation is not offered")
REFERENCE_REMOTE = Code("MG029", _ERROR, "a reference leads to the network")
REFERENCE_OUTSIDE = Code("MG030", _ERROR, "a reference leads out of the project")
REFERENCE_MISSING = Code("MG031", _ERROR, "a reference leads nowhere")
REFERENCE_LOOP = Code("MG032", _ERROR, "references lead round in a circle")
MISSPELT_KEY = Code("MG033", _ERROR, "a key is misspelt")
UNUSED_REFERENCE_MISSING = Code("MG034", _WARNING, "a reference that no operation has leads nowhere")

UNKNOWN_EXTENSION = Code("MG101", _ERROR, "an extension key is unknown")
MISPLACED_EXTENSION = Code("MG102", _ERROR, "an extension stands where it has no effect")
EXTENSION_VALUE = Code("MG103", _ERROR, "an extension has a wrong value")
UNKNOWN_PROPERTY = Code("MG104", _ERROR, "a key inside an extension or a policy is unknown")
LOOKS_LIKE_EXTENSION = Code("MG105", _WARNING, "a key looks like a misspelt extension")
EXTENSION_WITHOUT_EFFECT = Code("MG106", _WARNING, "an extension has no effect here")

NOT_SUPPORTED_YET = Code("MG110", _ERROR, "not supported yet")
FOREIGN_CODE = Code("MG111", _ERROR, "Ballerina or Java code cannot run here")
FOREIGN_CODE_UNUSED = Code("MG112", _WARNING, "Ballerina or Java code is not used")

UNDEFINED_SCHEME = Code("MG120", _ERROR, "a security scheme is not defined")
SCHEMES_NARROWED = Code("MG121", _WARNING, "only some of the security schemes can be checked")
DEFAULT_SCHEME = Code("MG122", _WARNING, "none of the security schemes can be checked")
STAYS_CLOSED = Code("MG123", _WARNING, "an operation stays closed")
OPEN_OPERATION = Code("MG124", _NOTE, "an operation is open")
PLAINTEXT_SECRET = Code("MG125", _ERROR, "a description holds a secret")
OPTIONAL_SECURITY = Code("MG126", _ERROR, "optional application security needs mutual TLS")
FLATTENED = Code("MG127", _WARNING, "what `security` asks for together is read as alternatives")
CONTRADICTION = Code("MG128", _ERROR, "security settings contradict one another")
SWITCHED_OFF = Code("MG129", _WARNING, "an operation switches protection off")

NO_ENDPOINT = Code("MG130", _ERROR, "an operation has no endpoint")
UNDEFINED_ENDPOINT = Code("MG131", _ERROR, "an endpoint is not defined")
MALFORMED_URL = Code("MG132", _ERROR, "a URL is malformed")
SERVER_VARIABLE = Code("MG133", _ERROR, "a server variable has no value")
ENDPOINT_TWICE = Code("MG134", _ERROR, "an endpoint is defined twice")
URLS_UNUSED = Code("MG135", _WARNING, "some endpoint URLs are not used")
SEVERAL_SERVERS = Code("MG136", _NOTE, "requests are spread over several servers")
SCHEME_ASSUMED = Code("MG137", _WARNING, "a backend's scheme is assumed")
ONLY_SANDBOX = Code("MG138", _WARNING, "an operation has a sandbox endpoint only")

DUPLICATE_API = Code("MG140", _ERROR, "an API is described twice")
DUPLICATE_BASE_PATH = Code("MG141", _ERROR, "two APIs have one base path")
ROUTE_CONFLICT = Code("MG142", _ERROR, "two operations match the same requests")
BUILT_IN_PATH = Code("MG143", _ERROR, "an API hides a built-in path")
BASE_PATH_ASSUMED = Code("MG144", _WARNING, "the base path is assumed")
BASE_PATH = Code("MG145", _ERROR, "a base path is malformed")
HIDDEN_RESOURCE = Code("MG146", _WARNING, "a longer base path hides a resource")

POLICY_VALUE = Code("MG150", _ERROR, "a policy is malformed")
DUPLICATE_POLICY = Code("MG151", _ERROR, "a policy is defined twice")
UNDEFINED_POLICY = Code("MG152", _ERROR, "a policy is not defined")
TIER_NEGLECTED = Code("MG153", _WARNING, "a tier is neglected")
POLICY_CONTRADICTION = Code("MG154", _ERROR, "parts of a policy contradict one another")
POLICY_WITHOUT_EFFECT = Code("MG155", _WARNING, "a part of a policy has no effect")
NOT_LIMITED = Code("MG156", _WARNING, "nothing limits an operation")
POLICY_PATTERN = Code("MG157", _ERROR, "a pattern cannot be used")
KEY_TEMPLATE = Code("MG158", _ERROR, "a key template is malformed")
BLOCKED_API = Code("MG159", _ERROR, "a blocking condition names an API that there is not")

UNDEFINED_INTERCEPTOR = Code("MG160", _ERROR, "an interceptor is not defined")
DUPLICATE_INTERCEPTOR = Code("MG161", _ERROR, "an interceptor is defined twice")
PYTHON_SYNTAX = Code("MG162", _ERROR, "a Python file is malformed")

SUBSCRIPTION_VALUE = Code("MG180", _ERROR, "a subscription is malformed")
SUBSCRIPTION_TWICE = Code("MG181", _ERROR, "a consumer key or an application stands twice")
SUBSCRIPTION_API = Code("MG182", _ERROR, "a subscription names an API that there is not")

NO_PROJECT = Code("MG170", _ERROR, "the project cannot be read")
NOTHING_TO_BUILD = Code("MG171", _ERROR, "there is nothing to build")
DEPLOYMENT_FILE = Code("MG172", _ERROR, "the deployment configuration is malformed")
DEPLOYMENT_UNUSED = Code("MG173", _WARNING, "a deployment section makes nothing yet")
PROJECT_SETTING = Code("MG174", _ERROR, "a setting of the project is malformed")

CODES: dict[str, Code] = {code.id: code for code in list(globals().values()) if isinstance(code, Code)}
