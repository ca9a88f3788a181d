"""Bytes as backups keep them: compressed, and encrypted if there is a key, so that one flipped bit is found.

Encryption is age (X25519, ChaCha20-Poly1305), by a library: what it wrote opens with the `age` tool too.
"""

import struct
from typing import Final, Self

from market.errors import DeskError

_LENGTH: Final = struct.Struct("<Q")
_LEVEL: Final = 3
LENGTH_MAX: Final = 1 << 34
"""A length above this was never written by us: the bytes are damaged."""
_SECRET: Final = "AGE-SECRET-KEY-"  # noqa: S105  # What such keys begin with.
_PUBLIC: Final = "age1"


class SealBroken(DeskError):  # noqa: N818  # Named for what happened.
    """Bytes that are not what was sealed, or another key's."""


class Seal:
    """Seals and opens pieces with one key, or with none."""

    def __init__(self, identity: str | None = None) -> None:
        """A seal.

        Args:
            identity: An age secret key (`AGE-SECRET-KEY-1...`); None only compresses.

        Raises:
            DeskError: It is no such key.
        """
        self._identity = self._recipient = None
        if identity is not None:
            from pyrage import IdentityError, x25519

            try:
                self._identity = x25519.Identity.from_str(identity)
            except IdentityError as error:
                msg = "backup.key begins like an age secret key and is none: paste all of it, or use a passphrase"
                raise DeskError(msg) from error
            self._recipient = self._identity.to_public()

    @classmethod
    def new(cls) -> tuple[Self, str]:
        """A seal with a key of its own, and that key."""
        from pyrage import x25519

        key = str(x25519.Identity.generate())
        return cls(key), key

    @property
    def encrypts(self) -> bool:
        """Whether there is a key."""
        return self._identity is not None

    @property
    def public(self) -> str:
        """The public half of the key; empty where there is none."""
        return str(self._recipient) if self._recipient is not None else ""

    def close(self, content: bytes) -> bytes:
        """Compress, and encrypt if there is a key."""
        import pyarrow as pa

        packed = pa.Codec("zstd", compression_level=_LEVEL).compress(content, asbytes=True)
        sealed: bytes = _LENGTH.pack(len(content)) + packed
        if self._recipient is None:
            return sealed
        from pyrage import encrypt

        closed: bytes = encrypt(sealed, [self._recipient])
        return closed

    def open(self, sealed: bytes, name: str) -> bytes:
        """What was sealed.

        Args:
            sealed: As `close` gave it.
            name: Of the file that it is from, for the error.

        Raises:
            SealBroken: The bytes are damaged, or were sealed with another key.
        """
        import pyarrow as pa

        if self._identity is not None:
            from pyrage import DecryptError, decrypt

            try:
                sealed = decrypt(sealed, [self._identity])
            except DecryptError as error:
                msg = f"{name} does not open: it is damaged, or was encrypted with another key ({error})"
                raise SealBroken(msg) from error
        try:
            (length,) = _LENGTH.unpack_from(sealed)
            if length > LENGTH_MAX:
                msg = f"{name} is damaged: it says that it holds {length} bytes"
                raise SealBroken(msg)
            content: bytes = pa.Codec("zstd").decompress(sealed[_LENGTH.size :], length, asbytes=True)
        except (struct.error, OSError, ValueError) as error:
            msg = f"{name} is damaged, or encrypted, and no backup.key is set ({error})"
            raise SealBroken(msg) from error
        return content


def is_secret_key(text: str) -> bool:
    """Whether a text is meant to be an age secret key, not a passphrase.

    Raises:
        DeskError: It is a public key, which cannot read back what it wrote.
    """
    if text.startswith(_PUBLIC) and len(text) > 50:
        msg = (
            "backup.key is an age public key, and a backup is read back to be verified: set the secret key "
            "(AGE-SECRET-KEY-1...) or a passphrase"
        )
        raise DeskError(msg)
    return text.startswith(_SECRET)


def lock_key(key: str, passphrase: str) -> bytes:
    """A secret key encrypted with a passphrase; takes a second or two, as guessing it then does."""
    from pyrage import passphrase as age

    locked: bytes = age.encrypt(key.encode(), passphrase)
    return locked


def unlock_key(locked: bytes, passphrase: str, where: str) -> str:
    """The secret key again.

    Raises:
        SealBroken: The passphrase is another, or the bytes are damaged.
    """
    from pyrage import DecryptError
    from pyrage import passphrase as age

    try:
        key: bytes = age.decrypt(locked, passphrase)
    except DecryptError as error:
        msg = f"the backups at {where} do not open with this backup.key: it is another, or repository.json is damaged"
        raise SealBroken(msg) from error
    return key.decode()
