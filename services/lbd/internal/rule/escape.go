package rule

// escapeClass says where a byte may stand as it is.
type escapeClass uint16

const (
	pathByte  escapeClass = 1 << iota // a capture in a path: pchar (RFC 3986 section 3.3) and "/", but for "%"
	queryByte                         // a capture in a query: unreserved, and ":", "@", "/", which divide nothing there
	hostByte                          // letters, digits, "-", ".", "_"
	uriByte                           // any URI character, "%" and "[" "]" included
	sentPath                          // of a path that the client wrote: visible ASCII but "?" and "#"
	sentQuery                         // of a query that the client wrote: visible ASCII but "#"
	toldPath                          // of a path that the client wrote, in a URL that it is told
	toldQuery                         // of a query
	valueByte                         // of a header's value (RFC 9110 section 5.5)
)

// escapeClasses is a table, for each byte of what is put together is looked at once.
var escapeClasses = makeEscapeClasses()

func makeEscapeClasses() (t [256]escapeClass) {
	set := func(chars string, c escapeClass) {
		for i := range len(chars) {
			t[chars[i]] |= c
		}
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	set(letters+"-._~", pathByte|queryByte|uriByte)
	set(letters+"-._", hostByte)
	set("!$&'()*+,;=:@/", pathByte|uriByte)
	set(":@/", queryByte)
	set("?#[]%", uriByte)
	for c := range 256 {
		if c > ' ' && c < 0x7f && c != '#' {
			t[c] |= sentQuery
		}
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= valueByte
		}
		if t[c]&sentQuery != 0 && c != '?' {
			t[c] |= sentPath
		}
		if t[c]&pathByte != 0 || c == '%' {
			t[c] |= toldPath | toldQuery
		}
	}
	t['?'] |= toldQuery
	return t
}

// escape appends s with the bytes that are not of class c percent-encoded.
func escape(b, s []byte, c escapeClass) []byte {
	const hex = "0123456789ABCDEF"
	for _, x := range s {
		if escapeClasses[x]&c != 0 {
			b = append(b, x)
		} else {
			b = append(b, '%', hex[x>>4], hex[x&15])
		}
	}
	return b
}
