"""SSH keys and signatures, by the user's own ssh-keygen and ssh-agent; no private key is ever read here.

Every signature is made for a namespace (``ssh-keygen -Y sign -n``), so that none made for one purpose is good for
another: git signs commits as ``git``, log-ins are ``auth@roar``, checkpoints of a log ``checkpoint@roar``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import subprocess
import sys
import tempfile
from typing import NamedTuple

from roar.errors import RoarError, UsageError

_SECONDS = 120
"""How long a signature may take: somebody may have to type a passphrase or touch a hardware key."""
_USUAL = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub", "id_ed25519_sk.pub", "id_ecdsa_sk.pub")


class PublicKey(NamedTuple):
    """A public key as one line of authorized_keys(5) has it, without options. ``path`` is its file, when it has one."""

    kind: str
    blob: str
    comment: str = ""
    path: str = ""

    @property
    def line(self) -> str:
        """The key as OpenSSH writes it, without the comment."""
        return f"{self.kind} {self.blob}"

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` prints it: SHA256 and base64 without padding."""
        return fingerprint(self.blob)


def fingerprint(blob: str) -> str:
    """The fingerprint of a key's base64. Raises ``UsageError`` when it is not base64."""
    try:
        raw = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError("not a public key: it is no base64", "give the line of a .pub file") from error
    return "SHA256:" + base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")


def parse(line: str, path: str = "") -> PublicKey:
    """A public key from its line. Raises ``UsageError``."""
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(("ssh-", "ecdsa-", "sk-")):
        raise UsageError(f"no public key{' in ' + path if path else ''}", "give a .pub file, as ssh-keygen makes it")
    key = PublicKey(words[0], words[1], words[2].strip() if len(words) > 2 else "", path)
    fingerprint(key.blob)
    return key


def read(path: str) -> PublicKey:
    """The public key in a file, or beside a private one. Raises ``UsageError``."""
    path = os.path.expanduser(path)
    public = path if path.endswith(".pub") else path + ".pub"
    try:
        with open(public, encoding="utf-8", errors="replace") as file:
            return parse(file.readline(), public)
    except OSError as error:
        raise UsageError(f"cannot read {public}: {error.strerror}", f"ssh-keygen -y -f {path} > {public}") from error


def candidates() -> list[PublicKey]:
    """The keys that could sign: those in the agent, then the usual files; keys that want a touch come last."""
    found: dict[str, PublicKey] = {}
    for key in (*_in_agent(), *_in_files()):
        found.setdefault(key.blob, key)
    return sorted(found.values(), key=lambda key: key.kind.startswith("sk-"))


def sign(message: bytes, key: PublicKey, namespace: str) -> str:
    """The armoured signature of a message by a key in the agent or, if it has a file, beside its file.

    Raises ``RoarError`` when it cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="roar-sign-") as folder:
        path = key.path
        if not path:
            path = os.path.join(folder, "key.pub")
            with open(path, "w", encoding="utf-8") as file:
                file.write(key.line + "\n")
        return sign_with_file(message, path, namespace)


def sign_with_file(message: bytes, path: str, namespace: str) -> str:
    """The armoured signature by the key in a file: a private key, or a public one whose private half an agent has."""
    # a terminal is left to ssh-keygen: it may ask for a passphrase or a touch
    seen = sys.stderr is not None and sys.stderr.isatty()
    done = _keygen(["-Y", "sign", "-f", path, "-n", namespace], message, show_stderr=seen)
    signature = done.stdout.decode("ascii", "replace")
    if done.returncode or not signature.startswith("-----BEGIN SSH SIGNATURE-----"):
        why = (done.stderr or b"").decode(errors="replace").strip().splitlines()
        raise RoarError(f"cannot sign with {path}" + (f": {why[-1]}" if why else ""), "ssh-add")
    return signature


def is_signed(message: bytes, signature: str, key: PublicKey, namespace: str) -> bool:
    """Whether this key, and no other, made a signature for this message and namespace."""
    with tempfile.TemporaryDirectory(prefix="roar-check-") as folder:
        signers, armoured = os.path.join(folder, "signers"), os.path.join(folder, "signature")
        with open(signers, "w", encoding="utf-8") as file:
            file.write(f'signer namespaces="{namespace}" {key.line}\n')
        with open(armoured, "w", encoding="utf-8", errors="replace") as file:
            file.write(signature)
        words = ["-Y", "verify", "-f", signers, "-I", "signer", "-n", namespace, "-s", armoured]
        return _keygen(words, message).returncode == 0


def make_key(path: str, comment: str) -> None:
    """A new ed25519 key without a passphrase, for a server, at a path where there is none. Raises ``RoarError``."""
    done = _keygen(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path], b"")
    if done.returncode:
        raise RoarError(f"cannot make the key {path}: {done.stderr.decode(errors='replace').strip()}")


def _keygen(words: list[str], stdin: bytes, *, show_stderr: bool = False) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["ssh-keygen", *words],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=None if show_stderr else subprocess.PIPE,
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise RoarError("ssh-keygen is not installed, or not on PATH", "install OpenSSH 8.2 or newer") from error
    except subprocess.TimeoutExpired as error:
        raise RoarError(f"ssh-keygen took more than {_SECONDS} s", "ssh-add -l") from error


def _in_agent() -> list[PublicKey]:
    if not os.environ.get("SSH_AUTH_SOCK"):
        return []
    try:
        done = subprocess.run(["ssh-add", "-L"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return []
    return _readable(done.stdout.decode("utf-8", "replace").splitlines()) if done.returncode == 0 else []


def _in_files() -> list[PublicKey]:
    folder = os.path.expanduser("~/.ssh")
    found = []
    for name in _USUAL:
        path = os.path.join(folder, name)
        if os.path.exists(path):
            try:
                found.append(read(path))
            except UsageError:
                continue
    return found


def _readable(lines: list[str]) -> list[PublicKey]:
    """Those lines that are keys; certificates sign as the keys that they are for."""
    return [parse(line) for line in lines if line.startswith(("ssh-", "ecdsa-", "sk-")) and "-cert-" not in line]
