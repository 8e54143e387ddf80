"""Settings of the console, from the environment (`HEARTHWATCH_WEB_…`)."""

from __future__ import annotations

import ipaddress

from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

IDENTITY_TOOLKIT = "https://identitytoolkit.googleapis.com"

OWNER_ORIGINS = (
    IDENTITY_TOOLKIT,
    "https://securetoken.googleapis.com",
    "https://firestore.googleapis.com",
    "https://firebaseinstallations.googleapis.com",
    "https://fcmregistrations.googleapis.com",
)


class WebConfig(BaseSettings):
    """Every setting of the console.

    The Firestore client reads FIRESTORE_EMULATOR_HOST by itself.
    """

    model_config = SettingsConfigDict(
        env_prefix="HEARTHWATCH_WEB_", extra="forbid", frozen=True, populate_by_name=True
    )

    project_id: str = Field(default="demo-hearthwatch", description="Firebase project.")
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8600, ge=0, le=65535, description="Port to listen on.")
    threads: int = Field(default=96, ge=4, le=1024, description="Each open browser holds one thread.")
    tls: bool = Field(default=False, description="Browsers come by https (a proxy ends TLS).")
    api_key: str = Field(default="demo", description="Web API key of the Firebase project; not a secret.")
    auth_emulator: str = Field(
        default="",
        validation_alias=AliasChoices("FIREBASE_AUTH_EMULATOR_HOST", "auth_emulator"),
        description="host:port of the Auth emulator; empty means the real service.",
    )
    firestore_emulator: str = Field(
        default="",
        validation_alias=AliasChoices("FIRESTORE_EMULATOR_HOST", "firestore_emulator"),
        description="host:port of the Firestore emulator, for the owner's app; empty means the real service.",
    )
    sdk: str = Field(
        default="", description="Folder of npm's `firebase` package, which the owner's app loads from here."
    )
    app_id: str = Field(default="", description="Firebase's id of the owner's app; not a secret.")
    sender_id: str = Field(default="", description="Firebase's number of the project, for pushes.")
    vapid_key: str = Field(
        default="",
        description="Public key for web pushes. Empty: phones get a token that only a recorder knows.",
    )
    session_idle_s: int = Field(
        default=1800, ge=60, description="A session ends when its page is silent so long."
    )
    session_absolute_s: int = Field(default=12 * 3600, ge=300, description="A session ends after one shift.")
    lease_s: int = Field(default=90, ge=10, description="A claim lapses when its page is silent so long.")
    revocation_grace_s: int = Field(
        default=600,
        ge=0,
        description="While Firebase Auth is silent, an account checked so recently may act.",
    )
    fleet_ca: str = Field(
        default="",
        description="PEM file of the fleet's certificate authority; with output and warehouse a home's last "
        "hour is shown.",
    )
    sign_ins_per_minute: int = Field(
        default=30, ge=1, description="By address: a whole shift signs in from one."
    )
    requests_per_minute: int = Field(default=1200, ge=60, description="By account, of every kind together.")
    proxies: int = Field(
        default=0, ge=0, le=3, description="Trusted proxies in front, each of which adds to X-Forwarded-For."
    )
    softphone: bool = Field(
        default=False,
        description="Every workstation has a program for tel: links. Where none has, the browser's question "
        "blocks the page; so unless this is set, numbers are copied.",
    )
    output: str = Field(
        default="",
        description="Folder of the pipeline's archive and dead letters, gs:// or local; empty: not shown.",
    )
    warehouse: str = Field(
        default="", description="BigQuery project.dataset of receipts and scores; empty: not asked."
    )
    path_limit_s: int = Field(default=150, ge=10, description="A path not proven for so long is a trouble.")

    @model_validator(mode="after")
    def _browsers_are_told_apart_and_come_by_https(self) -> WebConfig:
        if not self.tls and not _is_loopback(self.host):
            raise ValueError(f"host is {self.host} without tls, limit: plain http on loopback only")
        if self.tls and not self.proxies:
            raise ValueError("tls is set and proxies is 0: every browser would count as the proxy's address")
        return self

    @property
    def identity_url(self) -> str:
        """Where the browser signs in: Identity Toolkit, or its emulator."""
        if not self.auth_emulator:
            return IDENTITY_TOOLKIT
        return f"http://{self.auth_emulator}/identitytoolkit.googleapis.com"

    @property
    def owner_origins(self) -> tuple[str, ...]:
        """What the owner's app connects to beside this server (CSP)."""
        if self.auth_emulator or self.firestore_emulator:
            return tuple(f"http://{host}" for host in (self.auth_emulator, self.firestore_emulator) if host)
        return OWNER_ORIGINS

    @property
    def identity_origin(self) -> str:
        """The origin that the sign-in page may connect to (CSP)."""
        return f"http://{self.auth_emulator}" if self.auth_emulator else IDENTITY_TOOLKIT


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
