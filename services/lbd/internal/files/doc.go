// Package files decides what a request for a file of a directory is answered with: status, fields, and content as pieces of memory
// and of an open file. It carries nothing: whoever sends the pieces may use sendfile(2).
//
// # What is pure
//
// Tree.Answer reads a request's head and a decoded path, and asks an FS, which is a few operations. It reads no clock (Request.Now), starts
// no goroutine, and allocates nothing once an Answer's memory has grown, but for lists of directories. A Tree is not changed
// once it is in use and serves several threads; an Answer belongs to one. Dir is the FS of the system. Its calls may wait for a disk, on the
// thread that asks: files that are asked for often are in the page cache.
//
// # What is never served
//
// What is not below the root: Dir has the kernel resolve names beneath it (openat2(2), RESOLVE_BENEATH), so that a symbolic link leads to
// files within the root or nowhere; an absolute one leads nowhere. Names that begin with a dot, but for /.well-known (RFC 8615). What
// is neither a regular file nor a directory. A path ends in "/" exactly where it names a directory.
//
// # RFC 9110
//
// Conditions are judged in the order of section 13.2.2. The entity tag is made of the time of the last change, in nanoseconds, and the size,
// so that copies of a file which keep its time have the same on all hosts. It is weak for a file that was changed within the last second: it
// may change once more within a tick of the kernel's clock. Ranges (section 14) are those of GET. Of what a client asks for with more
// than 32 ranges, or with more bytes in all than the file has, it gets the whole file.
//
// What was compressed beforehand is a file of its own, with a tag of its own. What is compressed on its way is not decided here: the tag is
// the file's, by which conditions are judged, and who compresses makes it weak, which If-None-Match does not look at.
//
// # Costs
//
// A file costs openat2, fstat and, in the end, close; with precompressed siblings one openat2 more for each that is looked for. Nothing
// is kept open between requests, so that a file that was replaced is served at once.
package files
