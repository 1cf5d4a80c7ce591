"""Files that users of 3.x bring along: every key they may hold is known, and the shipped file starts a gateway."""

from __future__ import annotations

import re

from harness.sources import ROOT
from microgate.settings.model import Settings
from microgate.settings.schema import KEYS, fields, join
from microgate.settings.section import Home

# Every scalar key of 3.2.1 at its default.
EVERY_KEY = r"""
etcdurl = ""
etcdusername = ""
etcdpassword = ""
etcdtimer = 10000
etcdbasepath = "/v3"
datacenterId = ""
api.usage.data.path = ""

[listenerConfig]
host = "0.0.0.0"
httpPort = 9090
httpsPort = 9095
tokenListenerPort = 9096
keyStorePath = "${mgw-runtime.home}/runtime/bre/security/ballerinaKeystore.p12"
keyStorePassword = "ballerina"
trustStorePath = "${mgw-runtime.home}/runtime/bre/security/ballerinaTruststore.p12"
trustStorePassword = "ballerina"
keepAlive = "AUTO"
maxPipelinedRequests = 10
maxUriLength = 4096
maxHeaderSize = 8192
maxEntityBodySize = -1

[authConfig]
authorizationHeader = "Authorization"
removeAuthHeaderFromOutMessage = true

[jwtConfig]
header = "X-JWT-Assertion"

[server]
timestampSkew = 5000
header = ""

[security]
validateSubscriptions = false

[http2]
enable = true

[validationConfig]
enableRequestValidation = false
enableResponseValidation = false

[keyManager]
serverUrl = "https://localhost:9443"
tokenContext = "oauth2"
enableLegacyMode = false
issuer = "https://localhost:9443/oauth2/token"
remoteUserClaimRetrievalEnabled = false

[keymanager.security.basic]
enabled = true
username = "admin"
password = "admin"

[keymanager.security.oauth2]
enabled = false
credentialBearer = "AUTH_HEADER_BEARER"
tokenUrl = ""

[keymanager.security.oauth2.clientCredential]
enabled = false
clientId = ""
clientSecret = ""
scopes = ""

[keymanager.security.oauth2.password]
enabled = false
clientId = ""
clientSecret = ""
scopes = ""
username = ""
password = ""

[keymanager.security.oauth2.directToken]
enabled = false
accessToken = ""

[keymanager.security.oauth2.refresh]
enabled = false
refreshUrl = ""
scopes = ""
refreshToken = ""
clientId = ""
clientSecret = ""

[[jwtTokenConfig]]
issuer = "https://localhost:9443/oauth2/token"
audience = "http://org.wso2.apimgt/gateway"
certificateAlias = "wso2apim310"
jwksURL = ""
validateSubscription = false
consumerKeyClaim = "aud"
claimMapperClassName = "org.wso2.micro.gateway.jwt.transformer.DefaultJwtTransformer"
remoteUserClaimRetrievalEnabled = false

[tokenRevocationConfig.realtime]
enableRealtimeMessageRetrieval = false
jmsConnectionTopic = "tokenRevocation"
jmsConnectioninitialContextFactory = "wso2mbInitialContextFactory"
jmsConnectionProviderUrl = "amqp://admin:admin@carbon/carbon?brokerlist='tcp://localhost:5672'"
jmsConnectionUsername = ""
jmsConnectionPassword = ""

[tokenRevocationConfig.persistent]
enablePersistentStorageRetrieval = false
type = "default"
useDefault = false
endpointURL = "https://localhost:9443/internal/data/v1"
username = "admin"
password = "admin"

[caching]
enabled = true
tokenCacheExpiryTime = 900000
tokenCacheCapacity = 10000
tokenCacheEvictionFactor = 0.25

[analytics]
streamVersion = "3.2.0"

[analytics.fileUpload]
enable = false
uploadingTimeSpanInMillis = 600000
initialDelayInMillis = 5000
uploadingEndpoint = "https://localhost:9444/analytics/v1.0/usage/upload-file"
rotatingPeriod = 600000
taskUploadFiles = true
username = "admin"
password = "admin"

[analytics.gRPCAnalytics]
enable = false
endpointURL = "https://localhost:9806"
reconnectTimeInMillies = 6000

[b7a.log]
level = "INFO"

[b7a.http.accesslog]
console = false
path = ""

[b7a.http.tracelog]
console = false
path = ""
host = ""
port = 0

[b7a.observability.metrics]
enabled = false
reporter = "prometheus"
enableAuth = true
prometheus.port = 9797
prometheus.jmx_port = 8080
prometheus.secure_port = 9000

[b7a.observability.tracing]
enabled = false
name = "jaeger"

[b7a.observability.tracing.jaeger]
reporter.hostname = "localhost"
reporter.port = 5775
reporter.flush.interval.ms = 2000
reporter.max.buffer.spans = 1000
sampler.type = "const"
sampler.param = 1.0

[httpClients]
verifyHostname = true
disableSslVerification = false
enableHttp2 = true

[httpClients.proxy]
enable = false
enableInternalServices = false
host = ""
port = 0
username = ""
password = ""

[httpClients.poolConfig]
maxActiveConnections = -1
maxIdleConnections = 100
waitTimeInMillis = 30000
maxActiveStreamsPerConnection = 50

[httpClients.sslConfig]
protocolName = "TLS"
protocolVersions = "TLSv1.2,TLSv1.1"
ciphers = ""
keyStorePath = ""
keyStorePassword = ""
trustStorePath = ""
trustStorePassword = ""

[httpClients.responseLimits]
maxStatusLineLength = 4096
maxHeaderSize = 8192
maxEntityBodySize = -1

[mutualSSLConfig]
protocolName = "TLS"
protocolVersions = "TLSv1.2,TLSv1.1"
ciphers = ""
sslVerifyClient = "optional"
certificateHeaderName = "X-WSO2-CLIENT-CERTIFICATE"
isClientCertificateValidationEnabled = true

[throttlingConfig]
enabledGlobalTMEventPublishing = false
enableHeaderConditions = false
enableQueryParamConditions = false
enableJwtClaimConditions = false
jmsConnectioninitialContextFactory = "wso2mbInitialContextFactory"
jmsConnectionProviderUrl = "amqp://admin:admin@carbon/carbon?brokerlist='tcp://localhost:5672'"
jmsConnectionUsername = ""
jmsConnectionPassword = ""
throttleEndpointUrl = "https://localhost:9443/endpoints"
throttleEndpointbase64Header = "admin:admin"

[throttlingConfig.dataRetriever]
serverUrl = "https://localhost:9443/internal/data/v1"
username = "admin"
password = "admin"

[throttlingConfig.nodeLocal]
processThreadPoolCoreSize = 200
processThreadPoolMaximumSize = 1000
processThreadPoolKeepAliveTime = 200
cleanUpFrequency = 3600

[throttlingConfig.binary]
enabled = true
username = "admin"
password = "admin"

[[throttlingConfig.binary.URLGroup]]
receiverURL = "tcp://localhost:9611"
authURL = "ssl://localhost:9711"
type = "failover"

[throttlingConfig.binary.publisherPool]
maxIdle = 1000
initIdleCapacity = 200

[throttlingConfig.binary.publisherThreadPool]
corePoolSize = 200
maxPoolSize = 1000
keepAliveTime = 200

[throttlingConfig.binary.agent]
sslEnabledProtocols = "TLSv1,TLSv1.1,TLSv1.2"
ciphers = ""
queueSize = 32768
batchSize = 200
corePoolSize = 1
socketTimeoutMS = 30000
maxPoolSize = 1
keepAliveTimeInPool = 20
reconnectionInterval = 30
maxTransportPoolSize = 250
maxIdleConnections = 250
evictionTimePeriod = 5500
minIdleTimeInPool = 5000
secureMaxIdleTransportPoolSize = 250
secureMaxIdleConnections = 250
secureEvictionTimePeriod = 5500
secureMinIdleTimeInPool = 5000

[apikey.tokenConfigs]
issuer = "https://localhost:9095/apikey"
certificateAlias = "ballerina"
validateAllowedAPIs = false
audience = ""

[apikey.issuer.tokenConfig]
enabled = true
keyStorePath = ""
keyStorePassword = ""
issuer = "https://localhost:9095/apikey"
certificateAlias = "ballerina"
validityTime = -1

[jwtGeneratorConfig]
jwtGeneratorEnabled = false
claimDialect = "http://wso2.org/claims"
signingAlgorithm = "SHA256withRSA"
certificateAlias = "ballerina"
privateKeyAlias = "ballerina"
tokenExpiry = 900000
restrictedClaims = []
issuer = "wso2.org/products/am"
audience = ["http://org.wso2.apimgt/gateway"]
generatorImpl = "org.wso2.micro.gateway.jwt.generator.MGWJWTGeneratorImpl"

[jwtGeneratorConfig.claimRetrieval]
retrieverImpl = "org.wso2.micro.gateway.jwt.generator.MGWClaimRetrieverImpl"

[jwtGeneratorConfig.claimRetrieval.configuration]
serverUrl = "https://localhost:9443"
anythingElse = "is passed on"

[jwtGeneratorConfig.jwtGeneratorCaching]
tokenCacheEnable = true
tokenCacheExpiryTime = 900000
tokenCacheCapacity = 10000
tokenCacheEvictionFactor = 0.25

[apim.eventHub]
enable = false
serviceUrl = "https://localhost:9443"
internalDataContext = "/internal/data/v1/"
username = "admin"
password = "admin"
eventListeningEndpoints = "amqp://admin:admin@carbon/carbon?brokerlist='tcp://localhost:5672'"

[apim.credentials]
username = "admin"
password = "admin"
"""

# Arrays of tables that restrict or need content; their keys are tried one by one in test_findings.py.
MORE = r"""
[[server.headerConf]]
headerName = "Server"
preserveHeader = false
overrideValue = "x"

[[apikey.issuer.api]]
name = "store"
versions = "1.0.0, v1"

[b7a.users.generalUser1]
password = "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8"
scopes = "a,b"
"""

SHIPPED = r"""
[listenerConfig]
host="0.0.0.0"
httpPort=9090
httpsPort=9095
tokenListenerPort=9096
keyStorePath="${mgw-runtime.home}/runtime/bre/security/ballerinaKeystore.p12"
keyStorePassword="ballerina"
trustStorePath="${mgw-runtime.home}/runtime/bre/security/ballerinaTruststore.p12"
trustStorePassword="ballerina"

[keyManager]
serverUrl="https://localhost:9443"
tokenContext="oauth2"
[keymanager.security.basic]
enabled=true
username="admin"
password="admin"

[[jwtTokenConfig]]
issuer="https://localhost:9443/oauth2/token"
certificateAlias="wso2apim310"
validateSubscription=false
consumerKeyClaim="azp"

[analytics]
[analytics.fileUpload]
enable=false
[analytics.gRPCAnalytics]
enable=false

[b7a.users]
[b7a.users.admin]
password="d033e22ae348aeb5660fc2140aec35850c4da997"

[httpClients]
verifyHostname=true

[apikey.issuer]
[apikey.issuer.tokenConfig]
enabled=true
[[apikey.issuer.api]]
name="Swagger Petstore"
versions="1.0.0"

[throttlingConfig]
enabledGlobalTMEventPublishing=false

[apim.eventHub]
enable=false

[http2]
enable=true
"""


def test_every_key_of_3x_is_known(configure):
    outcome = configure(EVERY_KEY)
    assert outcome.findings == []
    assert configure(MORE).errors == []
    written = {row.key.partition("[")[0] for row in outcome.configuration.values if "micro-gw.conf" in row.origin}
    # What is left are keys of our own and old flags.
    assert len(written) > 190
    assert written <= set(KEYS) | {row.key for row in outcome.configuration.values}


def test_the_shipped_file_starts_a_gateway(configure):
    for strict in (True, False):
        outcome = configure(SHIPPED, strict=strict)
        assert outcome.errors == []
        assert set(outcome.codes) == {"MG514"}  # the password of `admin`
        assert outcome.issuers[0].certificate_alias == "wso2apim310"
        assert outcome.listener.key_store_path.startswith("${mgw-runtime.home}")


def test_both_names_of_a_key_in_the_environment_are_distinct():
    # Two keys of one name there would make one of them unreachable.
    plain = [key.replace(".", "_") for key in KEYS]
    assert len({name.replace("_", "").lower() for name in plain}) == len(plain)


def _refusing(section=Settings, prefix=""):
    for field in fields(section):
        name = join(prefix, field.name)
        if field.note is not None and field.note.home is Home.REFUSED:
            yield name
        elif field.section is not None:
            yield from _refusing(field.section, name)


def test_the_migration_page_names_every_setting_that_refuses_the_start():
    page = (ROOT / "docs/migration.md").read_text(encoding="utf-8")
    listed = page.partition("## Settings that refuse the start")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([\w.]+\.\w+)`", listed)) - {"httpClients.caFile"} == set(_refusing())
