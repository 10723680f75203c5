// Package accesslog writes one line per request, in formats that are compiled when the configuration is read, to files, standard
// output and syslog.
//
// # Who owns what
//
// Entry, Format and Sampler are pure: a line is built from the bytes of the request itself into a buffer that is used again,
// and nothing is allocated. Log owns the places that lines go to, one goroutine each, which Close waits for; a new configuration
// keeps the places that stay. Log.Log never blocks: it copies the line behind what waits for its place.
//
// # Bounds
//
// 4 MiB wait for each place; what does not fit is dropped whole and counted. Lines that a file does not take (a full disk) are counted and
// lost, a health item tells of it until it takes one again. What waits is written at once when it is 64 KiB, else 100 ms after
// the first line. A text of a client's takes at most 2048 bytes of a line, before it is escaped.
//
// # What cannot be broken out of
//
// Control bytes, bytes that are not ASCII, quotes and backslashes never stand in a line as they came: \xNN in texts, \u00NN and \uNNNN in JSON.
// In a template a value also never holds the character that the template has behind it, so that it ends where the template says.
package accesslog
