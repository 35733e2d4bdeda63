"""Users, their keys, projects and who may do what in them: files in the branch ``main`` of ``admin.git``.

    users/<name>.json          a ``User``
    projects/<project>.json    a ``Project``
    invitations/<digest>.json  an ``Invitation``, by the SHA-256 of its code

Every change is a commit by the one who made it, so ``git log`` of that repository is the log of administration. What
was read is kept until the branch moves.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from roar.errors import NotFoundError, RoarError, UsageError
from roar.git import locks, objects, refs
from roar.git.repository import Repository
from roar.glaas import ssh
from roar.server.storage import Storage, check_name

MAIN = "refs/heads/main"
NAMESPACES = "git,auth@roar"
"""What a user's key may sign here: commits of records, and log-ins (ssh-keygen(1), ALLOWED SIGNERS)."""
INVITATION_DAYS = 14
_DAY_NS = 86_400 * 1_000_000_000
_USER = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


class Role(enum.IntEnum):
    """What a user may do in a project; each includes those below it."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


RoleName = Literal["read", "write", "admin"]
Visibility = Literal["public", "internal", "private"]


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Key(_Plain):
    """A public SSH key of a user."""

    type: str
    key: str
    """Base64, as in a ``.pub`` file."""
    comment: str = ""
    added_ns: int
    expires_ns: int | None = None

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` prints it: ``SHA256:...``."""
        return ssh.fingerprint(self.key)

    @property
    def line(self) -> str:
        """As in a ``.pub`` file, without the comment."""
        return f"{self.type} {self.key}"

    def is_alive(self, now_ns: int) -> bool:
        """False once it has expired."""
        return self.expires_ns is None or now_ns < self.expires_ns


class User(_Plain):
    """Somebody who may log in, by any of the keys."""

    name: str
    keys: tuple[Key, ...] = ()
    disabled: bool = False


class Project(_Plain):
    """The settings of a project: ``public`` for anybody to read, ``internal`` for every user, ``private`` by role."""

    visibility: Visibility = "private"
    roles: dict[str, RoleName] = Field(default_factory=dict)
    quota_bytes: int = 10 << 30
    signers: Literal["required", "optional"] = "optional"
    """``required``: every new record must be signed, or covered by a later one of its chain that is."""
    secrets: Literal["refused", "allowed"] = "refused"
    """What looks like a secret in a record or an overlay: refuse the push, or do not look."""
    rewrites: Literal["refused", "allowed"] = "refused"
    """Refs may be deleted and rewritten: for as long as a leaked secret is purged."""


class Invitation(_Plain):
    """Whoever has its code may become a user with this role in this project, once."""

    project: str
    role: RoleName
    by: str
    expires_ns: int


class State(NamedTuple):
    """All of it at one commit of the branch ("" before the first)."""

    tip: str
    blobs: dict[bytes, str]
    users: dict[str, User]
    projects: dict[str, Project]
    invitations: dict[str, Invitation]
    holders: dict[str, tuple[User, Key]]
    """Whose key has a fingerprint."""


_EMPTY = State("", {}, {}, {}, {}, {})
M = TypeVar("M", bound=_Plain)


def _enabled(state: State, user: str | None) -> User | None:
    known = state.users.get(user) if user is not None else None
    return None if known is None or known.disabled else known


def _role(settings: Project, user: User | None) -> Role:
    """What a user who is known, or anybody, may do in a project of these settings."""
    if user is None:
        return Role.READ if settings.visibility == "public" else Role.NONE
    given = Role[settings.roles.get(user.name, "none").upper()]
    return max(given, Role.NONE if settings.visibility == "private" else Role.READ)


class People:
    """Reads and changes the repository of administration of a server."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._state = _EMPTY

    # ---- asking

    def state(self) -> State:
        """Everything, as the branch has it now. Raises ``RoarError`` when a file of it cannot be read."""
        repo = self._storage.admin()
        tip = refs.read(repo, MAIN) or ""
        if tip != self._state.tip:
            self._state = _load(repo, tip)
        return self._state

    def users(self) -> dict[str, User]:
        """All users by name."""
        return self.state().users

    def projects(self) -> dict[str, Project]:
        """The settings of all projects by name."""
        return self.state().projects

    def role(self, user: str | None, project: str) -> Role:
        """What a user (None: nobody in particular) may do in a project; NONE in one that does not exist."""
        state = self.state()
        settings = state.projects.get(project)
        return Role.NONE if settings is None else _role(settings, _enabled(state, user))

    def roles(self, user: str | None) -> dict[str, Role]:
        """What a user may do in each project."""
        state = self.state()
        known = _enabled(state, user)
        return {name: _role(settings, known) for name, settings in state.projects.items()}

    def visible(self, user: str | None) -> list[str]:
        """The projects that a user may read, sorted."""
        return sorted(project for project, role in self.roles(user).items() if role >= Role.READ)

    def user_of_key(self, fingerprint: str) -> User | None:
        """Who may log in with the key of this fingerprint."""
        user, key = self.state().holders.get(fingerprint, (None, None))
        alive = user and key and not user.disabled and key.is_alive(time.time_ns())
        return user if alive else None

    def keys_of(self, user: str) -> tuple[Key, ...]:
        """The keys by which a user may log in now."""
        found = self.users().get(user)
        if found is None or found.disabled:
            return ()
        now = time.time_ns()
        return tuple(key for key in found.keys if key.is_alive(now))

    def allowed_signers(self) -> bytes:
        """All users' keys, for ``ssh-keygen -Y verify`` and git's ``gpg.ssh.allowedSignersFile``, by their names.

        A key that expired is there, with the time: what was signed before stays good.
        """
        lines = []
        for user in self.users().values():
            for key in () if user.disabled else user.keys:
                until = ""
                if key.expires_ns is not None:
                    until = time.strftime(',valid-before="%Y%m%d%H%M%SZ"', time.gmtime(key.expires_ns // 1_000_000_000))
                lines.append(f'{user.name} namespaces="{NAMESPACES}"{until} {key.line}\n')
        return "".join(lines).encode()

    # ---- changing

    def add_user(self, name: str, *, by: str) -> User:
        """Add a user without keys. Raises ``RoarError`` when there is one of this name."""
        user = User(name=_check_user(name))

        def edit(state: State) -> dict[str, _Plain | None]:
            if name in state.users:
                raise RoarError(f"there is a user {name} already", f"roar serve key add {name} FILE")
            return {f"users/{name}.json": user}

        self._change(by, f"add user {name}", edit)
        return user

    def disable_user(self, name: str, *, by: str, disabled: bool = True) -> None:
        """Let a user in no more (or again). Keys and roles stay, and so does what the user wrote."""
        verb = "disable" if disabled else "enable"
        self._change_user(name, by, f"{verb} user {name}", lambda user: user.model_copy(update={"disabled": disabled}))

    def add_key(self, name: str, line: str, *, by: str, expires_ns: int | None = None) -> Key:
        """Give a user one more key, a line of a ``.pub`` file. Raises ``RoarError`` when somebody has it already."""
        key = read_key(line, expires_ns)

        def edit(state: State) -> dict[str, _Plain | None]:
            _check_new(state, key)
            user = _user(state, name)
            return {f"users/{name}.json": user.model_copy(update={"keys": (*user.keys, key)})}

        self._change(by, f"add key {key.fingerprint} of {name}", edit)
        return key

    def remove_key(self, name: str, fingerprint: str, *, by: str) -> None:
        """Take a key away: neither log-ins nor signatures by it count any more."""

        def without(user: User) -> User:
            _key(user, fingerprint)
            return user.model_copy(update={"keys": tuple(k for k in user.keys if k.fingerprint != fingerprint)})

        self._change_user(name, by, f"remove key {fingerprint} of {name}", without)

    def rotate_key(self, name: str, fingerprint: str, line: str, *, by: str) -> Key:
        """Give a user a new key in the place of one, which expires now: what it signed until now stays good."""
        key = read_key(line, None)
        now = time.time_ns()

        def edit(state: State) -> dict[str, _Plain | None]:
            _check_new(state, key)
            user = _user(state, name)
            _key(user, fingerprint)
            kept = (k.model_copy(update={"expires_ns": now}) if k.fingerprint == fingerprint else k for k in user.keys)
            return {f"users/{name}.json": user.model_copy(update={"keys": (*kept, key)})}

        self._change(by, f"rotate key {fingerprint} of {name} to {key.fingerprint}", edit)
        return key

    def add_project(
        self, name: str, *, by: str, visibility: Visibility = "private", owner: str | None = None
    ) -> Project:
        """Make a project, with its repository. Raises ``RoarError`` when there is one of this name."""
        project = Project(visibility=visibility, roles={owner: "admin"} if owner else {})

        def edit(state: State) -> dict[str, _Plain | None]:
            if owner:
                _user(state, owner)
            if name in state.projects:
                raise RoarError(f"there is a project {name} already", f"roar serve project set {name}")
            if not self._storage.exists(name):
                self._storage.create(name)
            return {f"projects/{name}.json": project}

        check_name(name)
        self._change(by, f"add project {name}", edit)
        return project

    def set_project(self, name: str, *, by: str, **changes: object) -> Project:
        """Change settings of a project, by the names of ``Project``'s fields. Raises ``UsageError`` for bad values."""

        def edit(state: State) -> dict[str, _Plain | None]:
            old = _project(state, name)
            try:
                new = Project.model_validate({**old.model_dump(), **changes})
            except ValidationError as error:
                raise UsageError(f"project {name}: {error.errors()[0]['msg']}", "roar serve project set -h") from error
            return {f"projects/{name}.json": new}

        said = ", ".join(f"{key} {value}" for key, value in changes.items())
        return self._change(by, f"set {said} of project {name}", edit).projects[name]

    def grant(self, name: str, user: str, role: RoleName | None, *, by: str) -> None:
        """Give a user a role in a project, or (None) take it."""

        def edit(state: State) -> dict[str, _Plain | None]:
            project = _project(state, name)
            if role is not None:
                _user(state, user)
            roles = {who: what for who, what in project.roles.items() if who != user}
            return {
                f"projects/{name}.json": project.model_copy(update={"roles": roles | ({user: role} if role else {})})
            }

        self._change(by, f"grant {role or 'nothing'} in {name} to {user}", edit)

    def invite(self, project: str, role: RoleName, *, by: str, days: int = INVITATION_DAYS) -> str:
        """An invitation to a project; gives its code, which is kept nowhere."""
        code = secrets.token_urlsafe(24)
        invitation = Invitation(project=project, role=role, by=by, expires_ns=time.time_ns() + days * _DAY_NS)

        def edit(state: State) -> dict[str, _Plain | None]:
            _project(state, project)
            return {f"invitations/{_digest(code)}.json": invitation}

        self._change(by, f"invite to {project} ({role})", edit)
        return code

    def accept(self, code: str, name: str, line: str) -> Invitation:
        """Become a user by an invitation, with a name and a key of one's own, in one change. Good once.

        Raises ``RoarError`` for a code that is unknown, spent or expired, and for a name that somebody has.
        """
        key = read_key(line, None)
        digest = _digest(code)
        _check_user(name)

        def edit(state: State) -> dict[str, _Plain | None]:
            invitation = state.invitations.get(digest)
            if invitation is None or invitation.expires_ns < time.time_ns():
                raise RoarError("this invitation is not known, was used or has expired", "ask for another one")
            if name in state.users:
                raise RoarError(f"there is a user {name} already", "choose another name")
            _check_new(state, key)
            project = _project(state, invitation.project)
            with_it = project.model_copy(update={"roles": {**project.roles, name: invitation.role}})
            return {
                f"users/{name}.json": User(name=name, keys=(key,)),
                f"projects/{invitation.project}.json": with_it,
                f"invitations/{digest}.json": None,
            }

        before = self.state().invitations.get(digest)
        self._change(name, f"accept an invitation as {name}", edit)
        assert before is not None
        return before

    def _change_user(self, name: str, by: str, message: str, edit: Callable[[User], User]) -> None:
        self._change(by, message, lambda state: {f"users/{name}.json": edit(_user(state, name))})

    def _change(self, by: str, message: str, edit: Callable[[State], Mapping[str, _Plain | None]]) -> State:
        """Commit what ``edit`` makes of the state: path to new content, None to delete."""
        repo = self._storage.admin()
        with locks.exclusive(self._storage.place("admin.lock")):
            state = self.state()
            blobs = dict(state.blobs)
            for path, content in edit(state).items():
                if content is None:
                    blobs.pop(path.encode(), None)
                else:
                    blobs[path.encode()] = objects.write(repo, "blob", _bytes(content))
            tree = objects.write_tree(repo, blobs)
            who = f"{_plain(by)} <> {int(time.time())} +0000"
            body = objects.commit_body(tree, [state.tip] if state.tip else [], who, who, message + "\n")
            new = objects.write(repo, "commit", body)
            if not refs.compare_and_swap(repo, MAIN, new, state.tip or None):
                raise RoarError(f"{repo.git_dir} was changed by something else", "try again")
            return self.state()


def read_key(line: str, expires_ns: int | None) -> Key:
    """A line of a ``.pub`` file. Raises ``UsageError`` when it is none, with all the care of a thing that is pasted."""
    words = line.strip().split(None, 2)
    if "PRIVATE KEY" in line:
        raise UsageError("this is a private key, which is nobody else's business", "give the .pub file")
    if len(words) < 2 or words[0] not in _KEY_TYPES or "\n" in line.strip():
        raise UsageError("this is no public SSH key", "give a .pub file, or a line of `ssh-add -L`")
    try:
        raw = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    kind = words[0].encode()
    if raw[: 4 + len(kind)] != len(kind).to_bytes(4, "big") + kind or len(raw) > 4096:
        raise UsageError("this public SSH key is damaged", "give a .pub file, or a line of `ssh-add -L`")
    comment = "".join(c for c in words[2] if c.isprintable())[:200] if len(words) == 3 else ""
    return Key(type=words[0], key=words[1], comment=comment, added_ns=time.time_ns(), expires_ns=expires_ns)


def _load(repo: Repository, tip: str) -> State:
    if not tip:
        return _EMPTY
    with objects.Reader(repo) as reader:
        blobs = {path: oid for path, (_, oid) in reader.files(reader.commit(tip).tree).items()}
        bodies = {path.decode(): reader.body(oid, "blob") for path, oid in blobs.items()}
    users = _all(bodies, "users", User)
    holders = {key.fingerprint: (user, key) for user in users.values() for key in user.keys}
    projects, invitations = _all(bodies, "projects", Project), _all(bodies, "invitations", Invitation)
    return State(tip, blobs, users, projects, invitations, holders)


def _all(bodies: Mapping[str, bytes], folder: str, kind: type[M]) -> dict[str, M]:
    found = {}
    for path, body in bodies.items():
        if path.startswith(folder + "/"):
            try:
                found[path.removeprefix(folder + "/").removesuffix(".json")] = kind.model_validate_json(body)
            except ValidationError as error:
                raise RoarError(f"admin.git: {path}: {error.errors()[0]['msg']}", "git revert in admin.git") from error
    return found


def _bytes(content: _Plain) -> bytes:
    """For people to read and git to compare."""
    return (json.dumps(content.model_dump(exclude_defaults=True), indent=1, sort_keys=True) + "\n").encode()


def _check_user(name: str) -> str:
    if not _USER.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a user", "a-z, 0-9, and -_. inside")
    return name


def _check_new(state: State, key: Key) -> None:
    if key.fingerprint in state.holders:
        user, _ = state.holders[key.fingerprint]
        raise RoarError(f"the key {key.fingerprint} is known already: it is {user.name}'s", "make one of its own")


def _user(state: State, name: str) -> User:
    if name not in state.users:
        raise NotFoundError(f"there is no user {name}", f"roar serve user add {name}")
    return state.users[name]


def _project(state: State, name: str) -> Project:
    if name not in state.projects:
        raise NotFoundError(f"there is no project {name}", f"roar serve project add {name}")
    return state.projects[name]


def _key(user: User, fingerprint: str) -> Key:
    for key in user.keys:
        if key.fingerprint == fingerprint:
            return key
    raise NotFoundError(f"{user.name} has no key {fingerprint}", f"roar serve key list {user.name}")


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def _plain(name: str) -> str:
    return "".join(c for c in name if c.isprintable() and c not in "<>").strip() or "somebody"
