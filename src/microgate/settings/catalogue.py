"""The findings that settings can give: stable codes, how grave each is, and a title for its page in docs/diagnostics/."""

from microgate.diagnostics import Severity

UNREADABLE = "MG501"
UNKNOWN = "MG502"
TYPE = "MG503"
RANGE = "MG504"
INTERPOLATION = "MG505"
ENCRYPTED = "MG506"
CONTRADICTION = "MG507"
NO_KEY_MATERIAL = "MG508"
RESTRICTS = "MG509"
WITHOUT_EFFECT = "MG510"
NO_ISSUER = "MG511"
ADDRESS = "MG512"
ARRAY = "MG513"
WEAK = "MG514"

# An unknown key is a warning only under the `gateway` command, which takes the files of 3.x as they are.
CATALOGUE: dict[str, tuple[Severity, str]] = {
    UNREADABLE: (Severity.ERROR, "the configuration file cannot be read"),
    UNKNOWN: (Severity.ERROR, "unknown key"),
    TYPE: (Severity.ERROR, "a value of the wrong type"),
    RANGE: (Severity.ERROR, "a value out of range"),
    INTERPOLATION: (Severity.ERROR, "a placeholder that cannot be filled"),
    ENCRYPTED: (Severity.ERROR, "an encrypted value"),
    CONTRADICTION: (Severity.ERROR, "settings that contradict each other"),
    NO_KEY_MATERIAL: (Severity.ERROR, "an issuer without a key"),
    RESTRICTS: (Severity.ERROR, "a restriction that cannot be kept"),
    WITHOUT_EFFECT: (Severity.WARNING, "a key without effect yet"),
    NO_ISSUER: (Severity.WARNING, "no issuer is trusted"),
    ADDRESS: (Severity.ERROR, "a malformed address or network"),
    ARRAY: (Severity.ERROR, "an array of tables outside the file"),
    WEAK: (Severity.WARNING, "a setting that weakens security"),
}
