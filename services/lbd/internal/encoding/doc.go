// Package encoding decides whether an answer's content may be compressed for a client, what that changes in its header, and does it
// (RFC 9110 sections 8.4 and 12.5.3). Deciding is pure; an Encoder does no input and no output and starts no goroutine.
//
// # Which coding
//
// Accept-Encoding is read strictly: a list that is malformed anywhere, or longer than MaxAccept bytes, is as one that is not there, and a coding that is
// named twice has the lower of its weights. A client without the field could take anything by the RFC, but those that say nothing are those that
// cannot decode: their answers stay as they are. Among the codings that the client takes the one of greatest weight is used, and of several
// the one that Policy names first; "*" stands for all that are not named. Where identity is named with a greater weight, the answer stays as
// it is. Where the client refuses identity ("identity;q=0") and no coding can be used, the answer goes out as it is all the same: no content at all
// would help nobody (section 12.5.3 allows it).
//
// # Which answers
//
// Those of a type in the Policy's list, of at least its size if that is known, whose header says neither that they are encoded already, nor
// that nobody may transform them (no-transform, also the request's), nor what their bytes hash to (Content-Digest, Repr-Digest, Digest,
// Content-MD5). Never those that have no content (1xx, 204, 205, 304), parts of a representation (206, any Content-Range), and deltas (226). The answer to HEAD is
// judged as that to GET would be, as its header is to be the same.
//
// # What changes
//
// Content-Encoding is added, Content-Length and Accept-Ranges go. Vary: Accept-Encoding is added where the answer might have gone out otherwise to
// another client, also if this one gets it as it is.
//
// A strong ETag becomes weak, since other bytes go out under it: "x" to W/"x". It comes back in two fields. If-None-Match is compared weakly, which
// does not look at W/ (section 8.8.3.2), so it is passed on as it came, and the member finds its own; the 304 that follows has its tag made weak again
// if the client asked by that (ReweakenETag), or a cache would not find what to freshen (RFC 9111 section 4.3.4). If-Match is
// compared strongly, which a weak tag never passes: a client that was given W/"x" could no longer change anything on that
// condition. So W/ is taken off again (AppendStrong), where the method changes something and no range is meant. A member whose tag is weak by
// itself sees no difference: strong comparison fails on its side. If-Range is left alone: what was weak must not be continued.
//
// # What it costs
//
// An Encoder takes 0.9 to 5.4 MiB (Spec.Memory). A Pool bounds what all of them take; when it has none left the answer goes out as it is and
// is counted. Flush makes all that was pushed come out, so that nothing waits in an encoder while the source pauses.
//
// # BREACH
//
// Where a page shows a secret (a token against forged requests) and something of the request, the length of its compressed form tells a listener
// who can make a browser ask for it many times about the secret. Compression is to be off there; masking the secret anew for each answer
// helps as well. Neither can be seen from here.
package encoding
