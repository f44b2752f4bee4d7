"""What the list runs against: the emulator with prepared identities, or a real vault."""

import json
import uuid
from dataclasses import dataclass

from azure.identity import ClientSecretCredential, DefaultAzureCredential
from azure.keyvault.certificates import CertificateClient
from azure.keyvault.keys import KeyClient
from azure.keyvault.secrets import SecretClient


@dataclass
class Target:
    """The target file, and clients made for it."""

    live: bool
    facts: dict
    prefix: str

    @staticmethod
    def load(path: str) -> "Target":
        """Reads the target file at `path`; object names get a prefix nobody else uses."""
        with open(path, encoding="utf-8") as file:
            facts = json.load(file)
        return Target(live=facts["live"], facts=facts, prefix=f"conformance-py-{uuid.uuid4().hex[:8]}")

    def __getitem__(self, key: str):
        return self.facts[key]

    @property
    def tenant(self) -> str:
        """The tenant every vault of the target belongs to."""
        return self["tenant"]

    @property
    def scope(self) -> str:
        """What a token for the vaults is asked for."""
        return self["resource"] + "/.default"

    def authority(self) -> dict:
        """Options for credentials: the authority is the target's, which no public metadata knows."""
        return {"authority": self["authority"], "disable_instance_discovery": True}

    def app(self, name: str, **options) -> ClientSecretCredential:
        """The credential of the app registered as `name` in the target file."""
        app = self["apps"][name]
        tenant = options.pop("tenant", self.tenant)
        return ClientSecretCredential(tenant, app["clientId"], app["secret"], **self.authority(), **options)

    def owner(self):
        """The credential that may do everything with the main vault."""
        return DefaultAzureCredential() if self.live else self.app("owner")

    def secrets(self, credential=None, vault: str = "main", **options) -> SecretClient:
        """A new client for secrets, by default the owner's for the main vault."""
        return SecretClient(self["vaults"][vault], credential or self.owner(), **options)

    def keys(self, credential=None, vault: str = "main", **options) -> KeyClient:
        """A new client for keys, by default the owner's for the main vault."""
        return KeyClient(self["vaults"][vault], credential or self.owner(), **options)

    def certificates(self, credential=None, vault: str = "main", **options) -> CertificateClient:
        """A new client for certificates, by default the owner's for the main vault."""
        return CertificateClient(self["vaults"][vault], credential or self.owner(), **options)
