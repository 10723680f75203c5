module github.com/everup/everup/services/dnsd

go 1.26.0

require github.com/everup/everup/shared v0.0.0

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/miekg/dns v1.1.73 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/everup/everup/shared => ../../shared
