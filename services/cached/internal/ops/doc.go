// Package ops has what memcached's commands mean, the same for every protocol: stores by mode, numbers, expiry times.
//
// The functions work on an engine.Ref, so each is atomic: the caller locks the key, calls one function, builds its answer from the
// Ref and unlocks. Nothing here waits or does I/O, and nothing allocates for values up to engine.Contiguous bytes. The outcomes are
// memcached's; the protocols only spell them. Counters are counted here as memcached 1.6.18 counts them, unless said otherwise.
package ops
