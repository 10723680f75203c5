// Package loop is an event loop over epoll: descriptors with their handlers, deadlines, and functions posted from elsewhere,
// all in one goroutine.
//
// # Who owns what
//
// Run is called in a goroutine of the owner's and ends when Stop is called; everything else of a Loop but Post and Stop belongs to
// that goroutine: handlers and posted functions run in it one at a time and use the Loop freely. They must not block. The
// caller owns the descriptors: Remove forgets one and does not close it.
//
// A descriptor is registered once, edge-triggered for both directions, so that a connection costs one epoll_ctl in its life.
// What many handlers of a turn have for one connection is gathered and written at the turn's end: Later.
//
// A handler told that it may read or write does so until EAGAIN, or asks by Again to be called in the next turn if it has had
// its share: then the other connections come first.
//
// # Deadlines
//
// Each descriptor has at most one. They lie in a wheel of 1024 spokes of 10 ms; later ones go round. To move a deadline
// further away costs nothing: the entry stays where it is and is put further when its spoke comes. Expired is called up to
// one spoke late, never early.
//
// # Bounds
//
// Descriptors: those the caller adds. Posted functions: MaxPosted, then Post says false. Each turn handles at most 128
// events and all functions that were posted before it.
package loop
