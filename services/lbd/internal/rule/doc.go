// Package rule decides what becomes of a request: an ordered list of rules, each with conditions and an outcome; the first whose
// conditions all hold and that has an outcome decides. It is pure: no clock, no chance, no input and no output. What is known of the
// connection, and a random number, come in as Facts.
//
// # What is compared
//
// Path conditions see the normalized path: percent-escapes decoded once, runs of slashes merged into one. So /%61dmin/ and //admin/ meet
// the rule for /admin/, as they do at servers that decode or merge. A path is refused, before any rule, when it names one thing here
// and may name another behind: an escape that is none, a control byte (a pattern's "." does not match a line end), and a segment "." or
// "..", also before ";" or beside "\", as some servers read them. What is forwarded is the path as the client wrote it, unless a
// rule strips or rewrites it. "%2F" counts as "/" in conditions and captures.
//
// Hosts are compared without port, final dot and letter case; IPv6 addresses in their canonical form. Query parameters are
// compared decoded, cookies and header values as they came. Where a field, parameter or cookie comes several times, one that matches is
// enough. Rules see the request as it came: what an earlier rule rewrites or sets is not seen, but for its tags.
//
// # What is put together
//
// Texts of rules may hold variables and captures (see Template). Each is escaped for the place it stands in: in a path it stays within the
// path, in a query within a name or value, in a host it must be part of a host name, in a header value it cannot end the
// line. Bytes that need it are percent-encoded; where that cannot be (a host) or the result is too long or has segments "..", the request
// is refused. The scheme and host of a redirection are what the rule writes there.
//
// # Costs
//
// Patterns are RE2: time is linear in the input, usually below 0.1 us a byte and at the bound of their size up to 10. Their size, the number of rules, hosts, values and tags are bounded at Compile. Decide looks
// only at rules whose host and first path segments can match, found in maps. It allocates nothing once a Verdict's memory has
// grown, but for captures (one slice for each pattern that captures).
package rule
