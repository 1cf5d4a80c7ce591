"""The text of the files that a fresh project begins with. Only the scaffold writes them; whoever asks whether a user has
changed one compares with these.
"""

from __future__ import annotations

from microgate.toolkit.project import layout

_POLICIES = """\
# Rate-limit policies. An API or an operation names one in `x-wso2-throttling-tier`; the built-in `Unlimited` means none.
# timeUnit: sec, min, hour, day, week, month (30 days) or year (365 days).
#
# A policy may also have any of these; docs/throttling/policies.md has them all.
#
#   window: sliding                # holds over any stretch of that length
#   burst: 20                      # at most so many at once, filled at the rate of `count`
#   concurrency: 10                # in flight at one time
#   bandwidth: {bytes: 10MB, direction: both, exceeded: slow}
#   weights: {5xx: 0}              # what failed does not count
#   shadow: true                   # counts and logs, refuses nothing
#   store: fast                    # counts over all nodes; or strict
#   conditions:                    # requests with a limit of their own
#     - robots: {when: {header: {User-Agent: bot}}, count: 60}
#
# customPolicies:                  # count every request by what it is of
#   - PerUser: {keyTemplate: "$userId:$apiContext", count: 20, unitTime: 1, timeUnit: sec}
# blockingConditions:              # shut callers out
#   - address: 203.0.113.0/24
resourcePolicies:
  - 50kPerMin:
      count: 50000
      unitTime: 1
      timeUnit: min
  - 20kPerMin:
      count: 20000
      unitTime: 1
      timeUnit: min
  - 10kPerMin:
      count: 10000
      unitTime: 1
      timeUnit: min
applicationPolicies:
  - 50PerMin:
      count: 50
      unitTime: 1
      timeUnit: min
  - 20PerMin:
      count: 20
      unitTime: 1
      timeUnit: min
  - 10PerMin:
      count: 10
      unitTime: 1
      timeUnit: min
subscriptionPolicies:
  - Gold:
      count: 5000
      unitTime: 1
      timeUnit: min
      stopOnQuota: true
  - Silver:
      count: 2000
      unitTime: 1
      timeUnit: min
      stopOnQuota: true
  - Bronze:
      count: 10
      unitTime: 1
      timeUnit: min
      stopOnQuota: true
  - Unauthenticated:
      count: 500
      unitTime: 1
      timeUnit: min
      stopOnQuota: true
  - Default:
      count: 500
      unitTime: 1
      timeUnit: min
      stopOnQuota: true
"""

_PROJECT_SETTINGS = """\
# What holds for all APIs of this project. An API says otherwise in `x-microgate-security`.
#
# How `security` of a description is read. `wso2`: all schemes and scopes are one list, any of which suffices, and
# `security: []` opens nothing. `literal`: as OpenAPI means it.
# security: wso2
"""

_DEPLOYMENT = """\
# How the project is deployed. Nothing here is needed to build or run it.
#
# [docker.dockerConfig]
#   enable = true
#   name = "petstore"
#   tag = "v1"
#
# [kubernetes.kubernetesDeployment]
#   enable = true
#   name = "petstore"
#   replicas = 2
#
# [[filters]]
#   name = "MyFilter"
#   position = 3
"""

_EXTENSION_FILTER = '''\
"""The last filter of the chain: it sees every request and every answer of all APIs of this project.

This file is a stub without effect.
"""
'''

_STARTUP_EXTENSION = '''\
"""Code that runs once when the gateway starts.

This file is a stub without effect.
"""
'''

_REVOCATION_EXTENSION = '''\
"""Fills the list of revoked tokens when the gateway starts.

This file is a stub without effect.
"""
'''

_INTERCEPTORS = '''\
"""Interceptors: functions that an API names in `x-wso2-request-interceptor` or `x-wso2-response-interceptor`.

This file is a stub without effect.
"""
'''

# Path in the project -> text.
STUBS = {
    f"{layout.DEFINITIONS}/{layout.KEEP}": "",
    layout.DEPLOYMENT: _DEPLOYMENT,
    f"{layout.EXTENSIONS}/extension_filter.py": _EXTENSION_FILTER,
    f"{layout.EXTENSIONS}/startup_extension.py": _STARTUP_EXTENSION,
    f"{layout.EXTENSIONS}/token_revocation_extension.py": _REVOCATION_EXTENSION,
    f"{layout.GRPC_DEFINITIONS}/{layout.KEEP}": "",
    f"{layout.INTERCEPTORS}/interceptors.py": _INTERCEPTORS,
    f"{layout.LIBRARIES}/{layout.KEEP}": "",
    layout.POLICIES: _POLICIES,
    layout.PROJECT_SETTINGS: _PROJECT_SETTINGS,
}
