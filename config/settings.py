"""All settings, driven by the environment (docs/settings.md lists every variable). Wiring only."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

from django.core.management.utils import get_random_secret_key

from config import embedded, env, llms, mail, reach, secret

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("DATA_DIR") or BASE_DIR / "var").resolve()

# -- Process -----------------------------------------------------------------------------------------------------------
DEBUG = env.flag("STANDFAST_DEBUG", default=True)
SECRET_KEY = env.text("SECRET_KEY") or secret.kept(DATA_DIR / "secret-key", get_random_secret_key)
SECRET_KEY_FALLBACKS = env.names("SECRET_KEY_FALLBACKS")
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.names("CSRF_TRUSTED_ORIGINS")
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_200_000  # input is limited to 1 MiB; the rest is form overhead

# -- Applications ------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "daphne",
    "config.apps.StandfastConfig",
    "observability",
    "approvals",
    "missions",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "axes",
    "channels",
    "csp",
    "django_htmx",
    "django_q",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "template_partials",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it turns a locked sign-in into its page
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "observability.console.context.console",
            ],
            "builtins": ["template_partials.templatetags.partials", "observability.templatetags.console"],
        },
    }
]

# -- Database: PostgreSQL only -----------------------------------------------------------------------------------------
# qcluster forks, and a pool does not survive a fork; it keeps one connection a process instead.
FORKING = "qcluster" in sys.argv
DATABASES = {"default": embedded.database(env.text("DATABASE_URL"), DATA_DIR / "postgres", pooled=not FORKING)}

# -- Missions ----------------------------------------------------------------------------------------------------------
MISSIONS_GATE = "approvals.gate.PolicyGate"
MISSIONS_MODULES = [
    "missions.library.refund", "missions.library.agent", "missions.library.goals", "missions.library.tools",
    "missions.tools.sandboxed", "approvals.simulation.mission", *env.names("MISSIONS_MODULES"),
]
MISSIONS_CONCURRENCY = env.integer("MISSIONS_CONCURRENCY", 500, low=1, high=100_000)
MISSIONS_MCP_SERVERS = env.text("MISSIONS_MCP_SERVERS") or str(BASE_DIR / "deploy" / "mcp-servers.yaml")
MCP_SERVER_HOSTS = env.names("MCP_SERVER_HOSTS")  # HOST or HOST:PORT in a private network that may be registered
MISSIONS_HEARTBEAT_SECONDS = env.seconds("MISSIONS_HEARTBEAT_SECONDS", 2.0, low=0.1, high=60)
MISSIONS_HUNG_SECONDS = env.seconds("MISSIONS_HUNG_SECONDS", 8.0, low=0.3, high=600)
MISSIONS_HOST = env.text("MISSIONS_HOST")  # this host's name among peers; empty: the system's
MISSIONS_DRAIN_SECONDS = env.seconds("MISSIONS_DRAIN_SECONDS", 20.0, low=0, high=3600)
MISSIONS_STALL_SECONDS = env.seconds("MISSIONS_STALL_SECONDS", 30.0, low=0.1, high=3600)
MISSIONS_REPLAY_SECONDS = env.seconds("MISSIONS_REPLAY_SECONDS", 20.0, low=0.1, high=3600)
MISSIONS_GUARD = env.flag("MISSIONS_GUARD", default=True)
MISSIONS_TRUST_FAILOVER = env.flag("MISSIONS_TRUST_FAILOVER", default=False)
MISSIONS_WITNESS = DATA_DIR / "witness.json"  # never beside the database's own files: a restore must not reach it
MISSIONS_CONFIDENCE_BAR = env.number("MISSIONS_CONFIDENCE_BAR", 0.7, low=0, high=1)
MISSIONS_KEEP_DAYS = env.integer("MISSIONS_KEEP_DAYS", 0, low=0, high=36_500)  # 0: for ever
MISSIONS_ARCHIVE_DIR = env.text("MISSIONS_ARCHIVE_DIR")  # empty: bundles lie in the database
MISSIONS_STUCK_SECONDS = env.seconds("MISSIONS_STUCK_SECONDS", 120.0, low=5, high=86_400)
MISSIONS_WORKSPACE_BYTES = env.integer("MISSIONS_WORKSPACE_BYTES", 256 * 1024 * 1024, low=0, high=2**40)
MISSIONS_BREAKER_FAILURES = env.integer("MISSIONS_BREAKER_FAILURES", 5, low=1, high=1000)
MISSIONS_BREAKER_SECONDS = env.seconds("MISSIONS_BREAKER_SECONDS", 5.0, low=0.1, high=600)
MISSIONS_BREAKER_WINDOW_SECONDS = env.seconds("MISSIONS_BREAKER_WINDOW_SECONDS", 300.0, low=1, high=86_400)
MISSIONS_WAKES_AT_ONCE = env.integer("MISSIONS_WAKES_AT_ONCE", 100, low=1, high=10_000)
MISSIONS_SHORT_WAIT_SECONDS = env.seconds("MISSIONS_SHORT_WAIT_SECONDS", 1.0, low=0, high=60)
SANDBOX_DRIVER = env.choice("SANDBOX_DRIVER", "auto", ("auto", "bubblewrap", "none"))
SANDBOX_MAY_LACK = env.some("SANDBOX_MAY_LACK", ("pids", "memory", "disk"))  # jobs run without these all the same
SANDBOX_READABLE = env.names("SANDBOX_READABLE")  # folders of toolchains
SANDBOX_PRIVATE_PLACES = env.names("SANDBOX_PRIVATE_PLACES")  # HOST:PORT in a private network that jobs may be let to
SANDBOX_JOBS = env.integer("SANDBOX_JOBS", 8, low=1, high=1000)
HTTP_TOOL_HOSTS = reach.places(env.names("HTTP_TOOL_HOSTS"))  # empty: http.get and its like reach nothing
SQL_TARGETS = reach.targets(env.names("SQL_TARGETS"))  # databases that sql.* know: name → reference
PAYMENTS_URL = env.text("PAYMENTS_URL", "http://127.0.0.1:8765/mcp")  # the demo payment server

# -- LLMs: docs/llm.md -------------------------------------------------------------------------------------------------
LLM_PROVIDERS = llms.known(env.text("LLM_PROVIDERS"))
LLM_CHAIN = llms.chain(env.names("LLM_CHAIN"), LLM_PROVIDERS)
LLM_PRICES = llms.priced(env.text("LLM_PRICES"))

# -- Sign-in -----------------------------------------------------------------------------------------------------------
LOGIN_URL = "/login/"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# So many wrong passwords for one name from one address, and it waits: guessing is slow, and locks nobody out elsewhere.
AXES_FAILURE_LIMIT = env.integer("SIGN_IN_FAILURES", 5, low=1, high=1000)
AXES_COOLOFF_TIME = dt.timedelta(seconds=env.seconds("SIGN_IN_WAIT_SECONDS", 900.0, low=1, high=86_400))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS, AXES_DISABLE_ACCESS_LOG, AXES_VERBOSE = True, True, False
AXES_LOCKOUT_TEMPLATE, AXES_HTTP_RESPONSE_CODE = "locked_out.html", 429
LOGIN_REDIRECT_URL = "/queue/"
LOGOUT_REDIRECT_URL = "/login/"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.flag("SECURE_COOKIES", default=False)
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# -- What leaves the house: e-mail and webhooks ------------------------------------------------------------------------
PUBLIC_URL = env.text("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")  # links in messages begin with it
EMAIL = mail.parse(env.text("EMAIL_URL"))  # None: people are told nothing by e-mail
if EMAIL is not None:
    EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = EMAIL.backend, EMAIL.host, EMAIL.port
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD, EMAIL_TIMEOUT = EMAIL.user, EMAIL.password, EMAIL.timeout
    EMAIL_USE_TLS, EMAIL_USE_SSL, DEFAULT_FROM_EMAIL = EMAIL.starttls, EMAIL.tls, EMAIL.sender
WEBHOOK_ALLOWED_HOSTS = env.names("WEBHOOK_ALLOWED_HOSTS")  # HOST or HOST:PORT that may lie in a private network

# -- REST --------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "missions.web.tokens.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated", "missions.web.tokens.InScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["missions.web.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "missions.web.problems.handle",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
MCP_CALLS_PER_MINUTE = env.integer("MCP_CALLS_PER_MINUTE", 600, low=0, high=1_000_000)  # of one token; 0: no limit
SPECTACULAR_SETTINGS = {
    "TITLE": "Standfast",
    "DESCRIPTION": "AI missions that hold their place.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "MissionStateEnum": "missions.models.State", "StopScopeEnum": "missions.models.StopScope",
        "LimitScopeEnum": "missions.models.Scope",
        "PolicyVersionStateEnum": "approvals.models.VersionState",
        "ArrivalOutcomeEnum": "approvals.models.ArrivalOutcome", "HookVerbEnum": "approvals.models.Verb",
        "DecisionStateEnum": "approvals.models.DecisionState", "DecisionKindEnum": "approvals.models.DecisionKind",
        "AgentStateEnum": "missions.web.agents_shapes.STATES",
        "ServerStateEnum": "missions.web.servers_api.STATES",
        "ToolFormVerdictEnum": "missions.web.servers_api.VERDICTS", "VoteVerdictEnum": "approvals.models.VoteVerdict",
    },
}

# -- Housekeeping: short scheduled jobs, never missions ----------------------------------------------------------------
Q_CLUSTER = {
    "name": "standfast",
    "orm": "default",
    "workers": 1,
    "poll": 5,  # seconds; also how long it takes to end, and what it costs while idle
    "timeout": 120,
    "retry": 300,
    "queue_limit": 10,
    "save_limit": 100,
    "catch_up": False,
    "label": "Housekeeping",
}

# -- Live updates: one hub over LISTEN per process (docs/adr); the layer exists only for consumers' own tests ----------
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# -- Static files and content security ---------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
CONTENT_SECURITY_POLICY = {
    "EXCLUDE_URL_PREFIXES": ["/api/v1/docs", "/admin/"],
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "connect-src": ["'self'"],
        "img-src": ["'self'"],
        "font-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    },
}
SECURE_REFERRER_POLICY = "same-origin"

# -- Logs --------------------------------------------------------------------------------------------------------------
LOG_LEVEL = env.text("LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in ("DEBUG", "INFO", "WARNING", "ERROR"):
    raise env.SettingError("LOG_LEVEL", LOG_LEVEL, "DEBUG, INFO, WARNING or ERROR")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "config.logs.LineFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "httpx2": {"level": "WARNING"},
        "mcp": {"level": "ERROR"},
    },
}
