// Package spool keeps bytes that come faster than they can go on, or that must be there as a whole before they go on: first in memory, then in
// a file without a name.
//
// # Who owns what
//
// A Store belongs to the daemon. It bounds what all its spools take of memory and of the disk, and its methods may be called by several goroutines
// at once. A Spool is used by one goroutine at a time. Nothing here starts a goroutine.
//
// # Order
//
// What is written is read in the same order. Memory holds the older bytes, the file what came after its share of memory was used up; once all of
// the file was read it is emptied, and memory is used again. A Spool that keeps (Open) frees nothing before Close, so that it can be read again from its
// beginning (Rewind).
//
// # Bounds
//
// Memory is taken in pieces of PieceLen from the Store's budget, of which some are kept free for the next spool. A spool writes to its file when
// its own share is used up, and also when the budget is. Write takes what it can and says why it took no more: ErrLimit for this spool's bound,
// ErrFull for the Store's, or the file's error, such as a full disk. The spool stays good then: what it took can be read, and Write may be tried
// again. A caller that can wait stops reading from its own source; one that cannot gives up. Counts tells how often that was.
//
// # Files
//
// They are made by O_TMPFILE, mode 0600, in the Store's directory, or unlinked at once where the file system cannot do that: none is left behind, however
// the daemon ends. They are written through the page cache and never synced. A Write or a read of one may wait for the disk as any write(2) may,
// when there are more dirty pages than the kernel allows.
package spool
