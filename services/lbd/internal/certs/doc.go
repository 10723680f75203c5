// Package certs holds lbd's certificates and what is demanded of TLS on either side: it makes the *tls.Config values that connections are
// opened with, and keeps what they are made of in step with the files. How bytes get on the wire is no concern of it.
//
// # Who owns what
//
// A Keeper holds a Front for each section of the configuration that clients are met with, and a Back for each pool whose members are spoken
// to by TLS. Run looks at their files, in one goroutine; it ends with its context. Handshakes run on the caller's goroutines and see a
// snapshot that does not change: a swap is one pointer, and a handshake ends with what it has begun with.
//
// # Files
//
// A file that has changed (size, times, inode) is read again, and what was read comes into force only as a whole: a chain with the key that
// fits it. What cannot be used leaves what was there in force and is told: as a health item and, once it has lasted for the time that
// replacing two files takes (settle), as an Event. A key, or a part of one, is in no message.
//
// A directory stands for the files *.pem and *.crt in it, each with its key, and for its subdirectories that hold fullchain.pem. What
// cannot be used of a directory when it is first read is left out and told; a file that is named alone is an error then.
//
// The key of a chain is looked for in the chain's own file, then beside it: x.key for x.pem, x.pem.key, privkey.pem for fullchain.pem.
// The OCSP answer for a chain is x.pem.ocsp beside it, in DER.
//
// # Which certificate is shown
//
// That of the name which the client asks for (SNI): an exact name comes first, then a wildcard for one label (*.example.org), then the
// default: also for clients that ask for none, unless Strict is set, which refuses both with unrecognized_name (RFC 6066 section 3). Of
// several for a name the first is taken that the client can verify the signature of: ECDSA, Ed25519, RSA; of two alike that which is
// good for longer.
//
// # Session tickets
//
// Their keys are derived (HKDF) from the fleet's secret, the front's name, what it demands of clients and the number of the period since
// 1970, so that all lbd of a fleet have the same without a word to each other. A period's key encrypts; those of the period before and of
// the one behind it are accepted, so that clocks may differ by a period. Who has the fleet's secret can read recorded TLS 1.2
// connections; TLS 1.3 is safe from that, since a resumption makes a key exchange of its own.
//
// # Bounds
//
// MaxCertificates for a front, MaxFile for a chain or key, MaxOCSP, MaxAuthorities, MaxCRL in bytes; 16 certificates a chain, 1024 names a
// certificate; one look takes at most a hundredth of the time.
package certs
