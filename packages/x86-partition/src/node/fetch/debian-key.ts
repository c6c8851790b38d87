// The key that signs Debian 12, which is the release that the Linux guest is taken from: "Debian Stable Release Key (12/bookworm)", Ed25519,
// fingerprint 4D64 FEC1 19C2 0290 67D6 E791 F8D2 585B 8783 D481 (https://ftp-master.debian.org/keys.html).

/** An OpenPGP public key, as `gpgv --keyring` reads it. */
export const DEBIAN_STABLE_KEY: Uint8Array = Buffer.from(
  'mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS/xcRfwEQWzrcrf6AEq0SURlYmlhbiBTdGFibGUgUmVs' +
    'ZWFzZSBLZXkgKDEyL2Jvb2t3b3JtKSA8ZGViaWFuLXJlbGVhc2VAbGlzdHMuZGViaWFuLm9yZz6IlgQTFggAPhYhBE1k/sEZ' +
    'wgKQZ9bnkfjSWFuHg9SBBQJjzrlTAhsDBQkPCZwABQsJCAcCBhUKCQgLAgQWAgMBAh4BAheAAAoJEPjSWFuHg9SBSgwBAP9q' +
    'peO5z1s5m4D4z3TcqDo1wez6DNya27QWWoG/4oBsAQCEN8Z00DXagPHbwrvsY2t9BCsT+PgnSn9biobwX7bDDg==',
  'base64',
)
